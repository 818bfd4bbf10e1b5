//! Listens, and stops well: on SIGTERM or SIGINT no new connections, requests in flight are finished, idle
//! connections are closed at once.
//!
//! The order of events in a deploy: the balancer stops sending, then Docker sends SIGTERM. A request that still
//! arrives on a kept-alive connection is answered with `connection: close`.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::answer::Shop;

/// LIMIT: a client that sends no complete head within this time is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until a signal says stop, and until what was begun then is finished; Docker's `stop_grace_period` is the
/// limit for that.
pub(crate) async fn serve(port: u16, shop: Arc<Shop>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    say(&format!("listening on port {}", listener.local_addr()?.port()));
    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Answers are small: without this they would wait for the client's delayed ACK.
                    let _ = stream.set_nodelay(true);
                    let shop = Arc::clone(&shop);
                    let service = service_fn(move |request| {
                        let shop = Arc::clone(&shop);
                        async move { Ok::<_, Infallible>(shop.answer(request).await) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service);
                    let connection = connections.watch(connection);
                    #[expect(clippy::disallowed_methods, reason = "an application of its own, without Wharf's crates")]
                    tokio::spawn(async move {
                        // Fails when the client goes away in mid-request: nobody is left to tell.
                        let _ = connection.await;
                    });
                }
                // Out of file descriptors: connections end and give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    say("finishing requests in flight");
    connections.shutdown().await;
    say("bye");
    Ok(())
}

/// A line on standard output. A log that nobody takes must not end the shop, as `println!` would.
fn say(words: &str) {
    let _ = writeln!(io::stdout(), "shop: {words}");
}
