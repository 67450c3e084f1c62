//! One call, whoever answers; and what is said to all.

use std::sync::atomic::Ordering;
use std::time::Duration;

use werkpilot_runtime::bus::{GetServices, ServiceQuestion};

use crate::agents::{Count, Double, Relay, SERIALISED, SHELL, Say, worker};
use crate::support::{PATIENCE, name, wait_for, with_fleet};

#[test]
fn the_same_question_reaches_an_actor_as_it_is_and_a_program_as_json() {
    with_fleet(vec![worker("asker"), worker("actor")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("asker", Count {}).await;
        fleet.wait_for_answer("actor", Count {}).await;
        let before = SERIALISED.load(Ordering::SeqCst);
        assert_eq!(fleet.ask("actor", Double { n: 21 }).await, Ok(42));
        assert_eq!(fleet.ask("asker", Relay { to: "actor".to_owned(), n: 4 }).await, Ok(8));
        assert_eq!(SERIALISED.load(Ordering::SeqCst), before, "between actors nothing is serialised");
        assert_eq!(fleet.ask("shell", Double { n: 21 }).await, Ok(42));
        assert_eq!(fleet.ask("asker", Relay { to: "shell".to_owned(), n: 4 }).await, Ok(8));
        assert_eq!(SERIALISED.load(Ordering::SeqCst), before + 2, "a program gets JSON");
    });
}

#[test]
fn a_program_that_asks_an_actor_sees_an_ordinary_reply() {
    with_fleet(vec![worker("actor")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        assert_eq!(fleet.ask("shell", Relay { to: "actor".to_owned(), n: 30 }).await, Ok(60));
    });
}

#[test]
fn what_an_actor_says_is_heard_by_all_who_subscribed() {
    with_fleet(vec![worker("speaker")], "", &[], |fleet| async move {
        fleet.wait_for_answer("speaker", Count {}).await;
        let messenger = fleet.orchestrator.messenger();
        let mut all = messenger.subscribe(&name("tester"), "news.>").unwrap();
        let mut one = messenger.subscribe(&name("tester"), "news.today").unwrap();
        let say = |subject: &str, text: &str| Say { subject: subject.to_owned(), text: text.to_owned() };
        for text in ["first", "second"] {
            fleet.ask("speaker", say("news.today", text)).await.unwrap();
        }
        fleet.ask("speaker", say("old.news", "unheard")).await.unwrap();
        for receiver in [&mut all, &mut one] {
            for text in ["first", "second"] {
                let heard = tokio::time::timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap();
                let expected = ("news.today", "speaker", text.as_bytes());
                assert_eq!((heard.subject.as_str(), heard.from.as_str(), heard.payload.as_slice()), expected);
            }
            assert!(receiver.try_recv().is_err());
        }
        assert!(
            messenger.subscribe(&name("tester"), "a..b").is_err()
                && messenger.publish(&name("tester"), "", vec![]).is_err()
        );
    });
}

#[test]
fn actors_are_micro_services_with_an_endpoint_per_question() {
    with_fleet(vec![worker("actor")], "", &[], |fleet| async move {
        fleet.wait_for_answer("actor", Count {}).await;
        fleet.ask("actor", Count {}).await.unwrap();
        let bus = fleet.orchestrator.handle().bus().unwrap().bus.clone();
        let collect = async |question| {
            let window = Duration::from_millis(300);
            let services = bus.post().ask(GetServices { question, window }, PATIENCE).await.unwrap();
            services.into_iter().find(|service| service["agent"] == "actor").expect("it answers")
        };
        let info = collect(ServiceQuestion::Info).await;
        assert_eq!(info["type"], "io.nats.micro.v1.info_response");
        assert_eq!((&info["name"], &info["description"]), (&"actor".into(), &"answers the tests".into()));
        assert_eq!(info["endpoints"][1]["subject"], "rpc.actor.count");
        let stats = collect(ServiceQuestion::Stats).await;
        assert_eq!(stats["id"], info["id"]);
        let count = &stats["endpoints"][1];
        assert_eq!((&count["name"], &count["num_requests"]), (&"count".into(), &2.into()), "{stats}");
    });
}

#[test]
fn a_reload_leaves_actors_as_they_are() {
    with_fleet(vec![worker("actor")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        std::fs::write(fleet.registry(), "[[agent]]\nname = \"other\"\ncommand = [\"sleep\", \"60\"]\n").unwrap();
        fleet.orchestrator.handle().reload("tester", false).await.unwrap();
        wait_for("the new registry", || async { fleet.orchestrator.handle().agent("other").await.is_ok() }).await;
        assert_eq!(fleet.ask("actor", Count {}).await, Ok(2));
    });
}
