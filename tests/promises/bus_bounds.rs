//! What is too much is refused, with a word why, and nobody else notices.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use werkpilot_tests::peer::{Answer, Headers, text};
use werkpilot_tests::{Peer, Setup, Werkpilot, wait_until};

fn sleepers(names: &[&str], config: &str) -> Werkpilot {
    let sleeper = |name: &&str| {
        format!("[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n")
    };
    Werkpilot::start(&[("fleet.toml", &names.iter().map(sleeper).collect::<String>())], config)
}

/// A registry whose only agent would leave a trace.
const TRACE: &str = "[[agent]]\nname = \"trace\"\nshell = \"touch started; exec sleep 1000\"\n";

#[test]
fn a_message_over_the_largest_payload_ends_its_sender_and_nobody_else() {
    let fleet = sleepers(&["sender", "other"], "[bus]\nmax_payload = \"1KiB\"\n");
    let mut other = fleet.peer("other");
    other.subscribe("news");
    let mut sender = fleet.peer("sender");
    sender.publish("news", &[b'x'; 1_024]);
    sender.flush();
    assert_eq!(other.message().payload.len(), 1_024);
    // By its size alone: nothing of it has to come. With headers, both count.
    for frame in [b"PUB news 1025\r\n".to_vec(), b"PUB news 4000000000\r\n".to_vec(), b"HPUB news 18 1025\r\n".to_vec()]
    {
        let mut sender = fleet.peer("sender");
        sender.send(&frame);
        assert_eq!(sender.wait_for_end(), ["Maximum Payload Violation"], "{}", String::from_utf8_lossy(&frame));
    }
    let mut sender = fleet.peer("sender");
    sender.send(&[b"SUB ".as_slice(), &[b'a'; 5_000], b" 1\r\n"].concat());
    assert_eq!(sender.wait_for_end(), ["maximum control line exceeded"]);
    let mut sender = fleet.peer("sender");
    sender.send(b"what?\r\n");
    assert_eq!(sender.wait_for_end(), ["Unknown Protocol Operation"]);
    assert!(other.messages().is_empty());
}

#[test]
fn requests_that_wait_are_bounded_and_those_that_are_too_many_are_told_at_once() {
    let fleet = sleepers(&["asker", "slow"], "[bus]\nmax_pending_requests = 3\n");
    let (mut asker, mut slow) = (fleet.peer("asker"), fleet.peer("slow"));
    slow.subscribe("rpc.slow");
    let waiting: Vec<_> = (0..3).map(|_| asker.ask("rpc.slow", &Headers::new(), b"?")).collect();
    let begun = Instant::now();
    let Answer::Error { code: 429, message } = asker.request("rpc.slow", b"?").answer() else { panic!() };
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(message, "3 requests wait for answers already");
    // Nothing of the fourth was delivered; and once one is answered, there is room for another.
    let requests = slow.messages();
    assert_eq!(requests.len(), 3);
    slow.reply(&requests[0], b"!");
    assert_eq!(text(&asker.answer(waiting[0])), "!");
    let again = asker.ask("rpc.slow", &Headers::new(), b"?");
    let request = slow.message();
    slow.reply(&request, b"again");
    assert_eq!(text(&asker.answer(again)), "again");
}

#[test]
fn who_does_not_read_is_cut_off_and_named_and_the_others_get_everything() {
    const MESSAGES: usize = 90;
    const SIZE: usize = 1_000_000;
    let fleet = sleepers(&["talker", "deaf", "reader"], "");
    let (mut talker, mut deaf, mut reader) = (fleet.peer("talker"), fleet.peer("deaf"), fleet.peer("reader"));
    deaf.subscribe("noise");
    reader.subscribe("noise");
    let reading = std::thread::spawn(move || (0..MESSAGES).map(|_| reader.message().payload.len()).sum::<usize>());
    let noise = vec![b'x'; SIZE];
    for _ in 0..MESSAGES {
        talker.publish("noise", &noise);
    }
    talker.flush();
    assert_eq!(reading.join().expect("a reader"), MESSAGES * SIZE);
    wait_until("the event", || !fleet.events("bus.consumer.slow").is_empty());
    let slow = fleet.events("bus.consumer.slow");
    assert_eq!((slow.len(), &slow[0]["data"]["who"]), (1, &"deaf".into()), "{slow:?}");
    assert!(slow[0]["data"]["backlog_bytes"].as_u64() > Some(64 * 1_024 * 1_024), "{slow:?}");
    // It was closed; what it is told behind so much it may not get to read.
    deaf.wait_for_end();
    // It may come again.
    fleet.peer("deaf").flush();
}

#[test]
fn a_bus_whose_address_is_taken_starts_nothing_and_names_who_has_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new(&[("fleet.toml", TRACE)], "").arg("--set").arg(&format!("bus.listen={address}"));
    let told = setup.up().expect(69);
    assert!(told.err.contains(&format!("{address} is in use by ")), "{}", told.err);
    assert!(told.err.contains(&format!("(pid {})", std::process::id())), "{}", told.err);
    assert!(!setup.dir().join("registry/started").exists());
    assert!(!setup.dir().join("state/bus/operator.json").exists());
    // And once it is free, all is well.
    drop(taken);
    let fleet = setup.start();
    assert_eq!(fleet.operator_access().address, address.to_string());
    fleet.operator().flush();
}

#[test]
fn two_orchestrators_can_t_have_the_same_bus() {
    let first = sleepers(&["sales"], "");
    let address = first.operator_access().address;
    let second = Setup::new(&[("fleet.toml", TRACE)], "").arg("--set").arg(&format!("bus.listen={address}"));
    let told = second.up().expect(69);
    assert!(told.err.contains(&format!("(pid {})", first.pid())), "{}", told.err);
    assert!(!second.dir().join("registry/started").exists());
    first.operator().flush();
}

#[test]
fn a_bus_that_others_could_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:3002"] {
        let setup = Setup::new(&[("fleet.toml", TRACE)], "").arg("--set").arg(&format!("bus.listen={address}"));
        let told = setup.up().expect(78);
        assert!(told.err.contains("[bus] listen") && told.err.contains("loopback"), "{}", told.err);
        assert!(!setup.dir().join("registry/started").exists(), "{address}");
    }
}

#[test]
fn strangers_cost_little_and_are_gone_after_two_seconds() {
    let fleet = sleepers(&["sales"], "");
    let address = fleet.operator_access().address;
    // Silent ones, half an introduction, and another protocol.
    let begun = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&address).expect("a bus")).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let said: &[u8] = [b"".as_slice(), b"CONNECT {\"user\":", b"GET / HTTP/1.1\r\n\r\n"][number % 3];
        stranger.write_all(said).expect("it takes bytes");
    }
    fleet.peer("sales").flush();
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut told = Vec::new();
        // A reset is an end, too.
        let _ = stranger.read_to_end(&mut told);
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with("INFO {") && told.contains("-ERR '"), "{told}");
        assert!(!told.contains("sales"), "nothing is told of the fleet: {told}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let _: Peer = fleet.peer("sales");
}
