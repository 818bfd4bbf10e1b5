//! A server that answers as told, on loopback, until it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wharf_base::Tasks;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Ok,
    OkAndClose,
    /// A good answer, then the connection ends without a word.
    OkThenHangUp,
    Status(u16),
    After(Duration),
    Half,
    Nonsense,
    Close,
    Reset,
    Never,
}

/// Decides by the time since the first request.
pub(crate) type Behaviour = Arc<dyn Fn(Duration) -> Answer + Send + Sync>;

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    tasks: Tasks,
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, tasks) = (Arc::new(AtomicU64::new(0)), Tasks::new());
        let first = Arc::new(std::sync::OnceLock::new());
        let (counter, spawner) = (Arc::clone(&requests), tasks.clone());
        tasks.spawn("server", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection =
                    serve(stream, Arc::clone(&behaviour), Arc::clone(&counter), Arc::clone(&first));
                spawner.spawn("connection", connection);
            }
        });
        Server { address, requests, tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests that came in whole.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    requests: Arc<AtomicU64>,
    first: Arc<std::sync::OnceLock<Instant>>,
) {
    let mut buffer = vec![0; 4096];
    let mut length = 0;
    loop {
        while !buffer[..length].ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer[length..]).await {
                Ok(count) if count > 0 => length += count,
                _ => return,
            }
        }
        length = 0;
        requests.fetch_add(1, Ordering::Relaxed);
        let since = first.get_or_init(Instant::now).elapsed();
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let text = match behaviour(since) {
            Answer::Ok | Answer::OkThenHangUp => ok.to_owned(),
            Answer::OkAndClose => {
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
            Answer::After(time) => {
                tokio::time::sleep(time).await;
                ok.to_owned()
            }
            Answer::Half => ok[..20].to_owned(),
            Answer::Nonsense => "220 smtp.example.com ESMTP\r\n".to_owned(),
            Answer::Close => return,
            Answer::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Answer::Never => std::future::pending().await,
        };
        let is_last = matches!(behaviour(since), Answer::OkAndClose | Answer::OkThenHangUp | Answer::Half);
        if stream.write_all(text.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}
