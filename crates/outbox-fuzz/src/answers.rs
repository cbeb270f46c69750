//! Answers of brokers: the first byte chooses the request, the second its version.

pub(crate) fn run(bytes: &[u8]) {
    if let Some((&[request, version], answer)) = bytes.split_first_chunk() {
        outbox_kafka::fuzzing::decode_answer(request, version, answer);
    }
}
