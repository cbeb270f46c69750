use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Runs the server's side of a connection that agrees to everything: what is measured is the client, and nothing of
/// this is allocated for each message.
pub(crate) async fn agree(mut client: DuplexStream, rows: usize) -> io::Result<()> {
    let mut body = Vec::new();
    let length = client.read_u32().await?;
    read(&mut client, &mut body, length).await?;
    client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?;

    let command = format!("INSERT 0 {rows}\0");
    let mut answers = Vec::new();

    loop {
        let tag = client.read_u8().await?;
        let length = client.read_u32().await?;
        read(&mut client, &mut body, length).await?;

        match tag {
            b'P' => answers.extend_from_slice(b"1\0\0\0\x04"),
            b'B' => answers.extend_from_slice(b"2\0\0\0\x04"),
            b'D' => answers.extend_from_slice(b"n\0\0\0\x04"),
            b'E' | b'Q' => {
                answers.push(b'C');
                answers.extend_from_slice(&u32::try_from(4 + command.len()).unwrap_or_default().to_be_bytes());
                answers.extend_from_slice(command.as_bytes());
            }
            _ => {}
        }

        if matches!(tag, b'Q' | b'S') {
            answers.extend_from_slice(b"Z\0\0\0\x05T");
            client.write_all(&answers).await?;
            answers.clear();
        }
    }
}

async fn read(client: &mut DuplexStream, body: &mut Vec<u8>, length: u32) -> io::Result<()> {
    // The length counts itself.
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    body.resize(length.ok_or(io::ErrorKind::InvalidData)?, 0);
    client.read_exact(body).await.map(drop)
}
