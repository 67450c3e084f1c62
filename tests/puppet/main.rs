//! What an agent of a test needs beside a POSIX shell: `puppet notify TEXT` says TEXT on the notify socket,
//! `puppet serve PORT FILE` listens as soon as FILE is there and answers 200 as long as it is, else 503.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["notify", text] => notify(text),
        ["serve", port, file] => serve(port, Path::new(file)),
        _ => Err(std::io::Error::other("usage: puppet notify TEXT | serve PORT FILE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("puppet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn notify(text: &str) -> std::io::Result<()> {
    let socket = std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| std::io::Error::other("there is no NOTIFY_SOCKET"))?;
    UnixDatagram::unbound()?.send_to(text.as_bytes(), socket).map(|_| ())
}

fn serve(port: &str, file: &Path) -> std::io::Result<()> {
    while !file.exists() {
        sleep(Duration::from_millis(20));
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("serving");
    for stream in listener.incoming() {
        let mut stream = stream?;
        // A probe of TCP alone says nothing and goes away.
        let _ = stream.read(&mut [0; 1_024]);
        let status = if file.exists() { "200 OK" } else { "503 Service Unavailable" };
        let _ =
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
    }
    Ok(())
}
