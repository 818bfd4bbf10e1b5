//! The real binary, spoken to over TCP.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Shop {
    child: Child,
    port: u16,
}

impl Shop {
    fn start(variables: &[(&str, &str)]) -> Shop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shop"))
            .env("PORT", "0")
            .env("HOSTNAME", "box<1>")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Shop { child, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends one request and returns everything until the server closes.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\nhost: shop\nconnection: close\n\n"))
    }

    fn terminate(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn pages_tell_version_host_and_count() {
    let shop = Shop::start(&[("VERSION", "7")]);
    shop.get("/");
    let page = shop.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("x-version: 7\r\n"), "{page}");
    assert!(page.contains("Served by box&lt;1>, its request number 2."), "{page}");
    assert!(shop.get("/api/items").contains(r#"{"name":"Sextant","cents":24900}"#));
    assert!(shop.get("/up").starts_with("HTTP/1.1 200"));
    assert!(shop.get("/nope").starts_with("HTTP/1.1 404"));
    assert!(shop.ask("POST / HTTP/1.1\nhost: x\nconnection: close\n\n").starts_with("HTTP/1.1 405"));
}

#[test]
fn echo_returns_the_body() {
    let shop = Shop::start(&[]);
    let answer = shop.ask("POST /echo HTTP/1.1\nhost: x\ncontent-length: 5\nconnection: close\n\nahoy!");
    assert!(answer.ends_with("\r\n\r\nahoy!") || answer.contains("\r\n5\r\nahoy!\r\n"), "{answer}");
}

#[test]
fn broken_shop_is_never_healthy() {
    let shop = Shop::start(&[("BROKEN", "1")]);
    assert!(shop.get("/up").starts_with("HTTP/1.1 503"));
    assert!(shop.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn terminated_shop_finishes_what_it_began_and_closes_idle_connections() {
    let mut shop = Shop::start(&[]);
    let mut idle = shop.connect();
    idle.write_all(b"GET /up HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).unwrap();
    let mut busy = shop.connect();
    busy.write_all(b"GET /slow?ms=400 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // The server has read the request once its answer to a later one on another connection is here.
    shop.get("/up");

    let begin = Instant::now();
    shop.terminate();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("done\n"), "{answer}");
    assert!(shop.child.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(("127.0.0.1", shop.port)).is_err());
}

#[test]
fn wrong_setting_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_shop")).env("PORT", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "shop: PORT is `x`, not a number up to 65535\n");
}
