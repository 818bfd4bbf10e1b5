//! One connection and one exchange on it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::report::FailureCause;
use crate::response::{Response, ResponseReader};

/// 16 KiB: a page of the example application is read in one piece, thousands of connections cost little.
const BUFFER_SIZE: usize = 16 * 1024;

/// LIMIT: of the words kept for one failure.
const DETAIL_SIZE_MAX: usize = 200;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// When its last answer ended.
    pub(super) idle_since: Instant,
}

/// How an exchange failed.
pub(super) struct Broken {
    pub(super) cause: FailureCause,
    pub(super) detail: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Connection, Broken> {
        let open = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = open.await.map_err(|error| broken(FailureCause::Connect, &error))?;
        Ok(Connection { stream, buffer: vec![0; BUFFER_SIZE].into_boxed_slice(), idle_since: Instant::now() })
    }

    /// Whether the server has neither closed it nor sent anything that nobody asked for. A close that is on its way
    /// is not seen; a request that meets it counts as failed.
    pub(super) fn is_usable(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(request).await.map_err(|error| broken(FailureCause::Reset, &error))
    }

    pub(super) async fn receive(&mut self) -> Result<Response, Broken> {
        let mut reader = ResponseReader::default();
        loop {
            let count = self
                .stream
                .read(&mut self.buffer)
                .await
                .map_err(|error| broken(FailureCause::Reset, &error))?;
            if count == 0 {
                let when = if reader.has_begun() { "in mid-answer" } else { "before it answered" };
                let detail = format!("the server closed the connection {when}");
                return reader.close().ok_or(Broken { cause: FailureCause::Reset, detail });
            }
            match reader.feed(&self.buffer[..count]) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(malformed) => {
                    return Err(Broken { cause: FailureCause::Reset, detail: malformed.0.to_owned() });
                }
            }
        }
    }
}

fn broken(cause: FailureCause, error: &io::Error) -> Broken {
    Broken { cause, detail: error.to_string().chars().take(DETAIL_SIZE_MAX).collect() }
}
