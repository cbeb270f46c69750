//! The two requests that the comparison sends to the broker.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use outbox_core::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::batch::{Logged, records};

pub(crate) struct Broker {
    stream: TcpStream,
}

const FETCH: (i16, i16) = (1, 4);
const DELETE_TOPICS: (i16, i16) = (20, 1);
const OFFSET_OUT_OF_RANGE: i16 = 1;

impl Broker {
    pub(crate) fn connect(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).unwrap() }
    }

    /// Fetches what lies in a partition from an offset on; nothing while the topic is not there.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<Logged> {
        let mut body = BytesMut::new();
        body.put_i32(-1); // a consumer
        body.put_i32(0); // do not wait
        body.put_i32(0); // for no bytes
        body.put_i32(8 << 20);
        body.put_i8(0); // uncommitted too
        body.put_i32(1);
        string(&mut body, topic);
        body.put_i32(1);
        body.put_i32(partition);
        body.put_i64(offset);
        body.put_i32(8 << 20);
        let mut answer = self.ask(FETCH, &body);
        answer.advance(4); // throttle
        if answer.get_i32() == 0 {
            return vec![];
        }

        let name = usize::try_from(answer.get_i16()).unwrap();
        answer.advance(name + 4 + 4);
        let error = answer.get_i16();
        assert_ne!(error, OFFSET_OUT_OF_RANGE);

        if error != 0 {
            return vec![];
        }

        answer.advance(8 + 8); // high watermark, last stable offset
        let aborted = usize::try_from(answer.get_i32()).unwrap_or(0);
        answer.advance(aborted * 16);
        let length = usize::try_from(answer.get_i32()).unwrap_or(0);
        records(topic, partition, answer.split_to(length)).into_iter().filter(|found| found.offset >= offset).collect()
    }

    pub(crate) fn delete_topics(&mut self, topics: &[String]) {
        let mut body = BytesMut::new();
        body.put_i32(i32::try_from(topics.len()).unwrap());
        for topic in topics {
            string(&mut body, topic);
        }
        body.put_i32(10_000);
        self.ask(DELETE_TOPICS, &body);
    }

    fn ask(&mut self, (api, version): (i16, i16), body: &[u8]) -> Bytes {
        let mut request = BytesMut::new();
        request.put_i16(api);
        request.put_i16(version);
        request.put_i32(7);
        request.put_i16(-1); // no client id
        request.extend_from_slice(body);
        self.stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        self.stream.write_all(&request).unwrap();

        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut answer).unwrap();
        let mut answer = Bytes::from(answer);
        assert_eq!(answer.get_i32(), 7, "the answer to this request");
        answer
    }
}

fn string(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}
