use super::*;

fn place(of_orchestrator: bool) -> Place {
    Place { of_orchestrator, ..Place::parse("nats://127.0.0.1:4222", "--server").unwrap() }
}

/// What the client makes of a server that says this and hangs up.
fn told(server_says: &'static [u8]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(server_says).await.unwrap();
            stream.shutdown().await.unwrap();
            // The client has hung up when nothing comes any more.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let place = Place::parse(&address, "--server").unwrap();
        let (client, ()) = tokio::join!(BusClient::connect(place, "test"), server);
        client.map(drop).unwrap_err().to_string().replace(&address, "HOST")
    })
}

#[test]
fn a_server_that_is_none_is_told() {
    let all = [
        told(b""),
        told(b"SSH-2.0-OpenSSH_9.2\r\n"),
        told(b"INFO {\"tls_required\":true,\"max_payload\":1}\r\n"),
        told(b"INFO {\"headers\":true,\"max_payload\":1}\r\n-ERR 'Authorization Violation'\r\n"),
        told(b"INFO {\"headers\":true,\"max_payload\":1}\r\nINFO {\"ldm\":true}\r\n"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    error: the bus at nats://HOST is gone: it hung up

    error: no bus at nats://HOST: it is no NATS server: the line begins with no known operation
     hint: `werkpilot bus` runs one; without --server and NATS_URL it is the running orchestrator's

    error: no bus at nats://HOST: it wants TLS
     hint: `werkpilot bus` runs one; without --server and NATS_URL it is the running orchestrator's

    error: the bus at nats://HOST does not accept the credentials: Authorization Violation
     hint: write them into the address: nats://user:password@host:port, or nats://token@host:port

    error: the bus at nats://HOST is gone: it was shut down
    ");
}

#[test]
fn refusals_say_what_to_do() {
    let mut all = Vec::new();
    for (text, of_orchestrator) in [
        (&b"Authorization Violation"[..], true),
        (b"Permissions Violation for Publish to \"rpc.x\"", true),
        (b"Slow Consumer", false),
        (b"Maximum Connections Exceeded", false),
    ] {
        let mut client = Client::new(0);
        client.receive(&[b"-ERR '", text, b"'\r\n"].concat());
        let Some(Event::Refused(refusal)) = client.next_event().unwrap() else { panic!("no refusal") };
        all.push(refused(&place(of_orchestrator), &refusal).to_string());
    }
    all.push(not_sent(&SendError::TooLarge { size: 2_097_152, limit: 1_048_576 }).to_string());
    all.push(not_sent(&SendError::Pattern { pattern: "a b".to_owned() }).to_string());
    all.push(nobody(&place(true), "connection refused").to_string());
    insta::assert_snapshot!(all.join("\n"), @r#"
    error: the bus at nats://127.0.0.1:4222 does not accept the credentials: Authorization Violation
     hint: the credential is of an orchestrator that has ended; `werkpilot status` tells

    error: the bus does not allow it: Permissions Violation for Publish to "rpc.x"

    error: the bus at nats://127.0.0.1:4222 has cut us off, as we do not read as fast as messages come
     hint: a narrower pattern, or a faster reader of our output, helps

    error: the bus at nats://127.0.0.1:4222 refused: Maximum Connections Exceeded

    error: a message of 2097152 bytes, its headers included, is over the bus's limit of 1048576
     hint: max_payload in [bus] of the settings is the limit; or send less

    error: `a b` is no pattern: it is words with dots between them, where * stands for a word and > for the rest
     hint: in a shell, patterns have to be quoted: 'orders.>'

    error: no bus at nats://127.0.0.1:4222: connection refused
     hint: the orchestrator may have ended; `werkpilot status` tells
    "#);
}

#[test]
fn inboxes_have_names_of_their_own() {
    assert_ne!(random(), random());
}
