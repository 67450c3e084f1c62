//! The reference: actix-web with one worker that sends bytes which are ready, and does nothing else.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};

use super::fleet::on_core;

/// A running one, ended when dropped.
pub struct Bare {
    child: Child,
    stdin: Option<ChildStdin>,
    pub address: SocketAddr,
}

impl Bare {
    /// Serves the bytes of this file, on the core of the server.
    pub fn start(body: &Path) -> Self {
        let program = std::env::current_exe().expect("our own path");
        let mut command = on_core(0, &program);
        command.arg("serve").arg(body).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the reference starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        Self { child, stdin, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.wait();
    }
}

/// The reference itself: serves a file's bytes until nobody listens to it any more.
pub fn serve(body: &str) {
    let bytes = Bytes::from(std::fs::read(body).expect("the body"));
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            let bytes = bytes.clone();
            let answer = move || {
                let bytes = bytes.clone();
                async move { HttpResponse::Ok().content_type("application/json").body(bytes) }
            };
            App::new().route("/", web::get().to(answer))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
        println!("{}", server.addrs()[0]);
        let running = server.run();
        let handle = running.handle();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        running.await.expect("it serves");
        drop(handle);
    });
}

/// Runs a command without a word; whether it went well.
pub fn quietly(command: &mut Command) -> bool {
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}
