//! Somebody inside the process: agents that are actors, and the system itself.

use super::world::{World, credential, name};
use crate::switch::{ConnectionId, Delivery, Who};

fn inside(world: &mut World, agent: &str) -> ConnectionId {
    world.switch.open_local(Who::Agent(name(agent)), world.now.steady)
}

fn one(world: &mut World) -> Delivery {
    let mut deliveries = world.switch.take_deliveries();
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

#[test]
fn what_is_for_somebody_inside_comes_as_a_value() {
    let mut world = World::fleet();
    let (db, sales) = (inside(&mut world, "db"), world.user("sales#1"));
    world.switch.subscribe_local(db, 7, b"orders.*", None);
    world.publish_with(sales, "orders.new _INBOX.x.1", &[("Color", "red"), ("Werkpilot-From", "boss")], "1");
    let delivery = one(&mut world);
    assert_eq!((delivery.to, delivery.subscription, &delivery.from), (db, 7, &Who::Agent(name("sales"))));
    assert_eq!(delivery.credential, credential("sales#1"), "which process of the agent it was");
    assert_eq!((&*delivery.subject, delivery.reply.as_deref()), (&b"orders.new"[..], Some(&b"_INBOX.x.1"[..])));
    assert_eq!(&*delivery.headers, b"NATS/1.0\r\nWerkpilot-From: sales\r\nColor: red\r\n\r\n");
    assert_eq!(delivery.payload, b"1");
    world.switch.unsubscribe_local(db, 7);
    world.publish(sales, "orders.new", "2");
    assert!(!world.switch.has_news() && world.switch.outbox(db).is_none());
}

#[test]
fn an_actor_answers_a_process_and_asks_it_in_the_same_way() {
    let mut world = World::fleet();
    let (db, sales) = (inside(&mut world, "db"), world.requester("sales#1"));
    world.send(sales, "SUB rpc.sales r\r\n");
    world.switch.subscribe_local(db, 1, b"rpc.db.>", None);
    world.switch.subscribe_local(db, 2, b"_INBOX.local.*", None);
    world.publish(sales, "rpc.db.find _INBOX.sales#1.1", "?");
    let asked = one(&mut world);
    let reply = String::from_utf8(asked.reply.unwrap().into()).unwrap();
    world.publish_local(db, &reply, None, "!");
    assert_eq!(world.read(sales), [r#"_INBOX.sales#1.1 in "!" [Werkpilot-From: db]"#]);
    world.publish_local(db, "rpc.sales", Some("_INBOX.local.5"), "?");
    let reply = world.asked(sales);
    world.publish(sales, &reply, "!");
    let answer = one(&mut world);
    assert_eq!(
        (answer.from, &*answer.subject, answer.subscription),
        (Who::Agent(name("sales")), &b"_INBOX.local.5"[..], 2)
    );
    world.close(sales);
    world.publish_local(db, "rpc.sales", Some("_INBOX.local.6"), "?");
    let error = one(&mut world);
    assert_eq!(error.from, Who::System, "nobody answered, so the bus does");
    assert!(error.headers.windows(3).any(|window| window == b"503"));
}

#[test]
fn an_actor_is_held_to_the_same_rules_as_a_process() {
    let mut world = World::fleet();
    let (db, sales) = (inside(&mut world, "db"), world.requester("sales#1"));
    world.switch.subscribe_local(db, 1, b"rpc.sales", None);
    world.switch.subscribe_local(db, 2, b"_INBOX.sales#1.*", None);
    assert_eq!(world.switch.stats().violations, 2);
    world.publish_local(db, "agent.started", None, "{}");
    world.publish_local(db, "_INBOX.sales#1.1", None, "psst");
    assert_eq!((world.switch.stats().violations, world.switch.stats().rejected_replies), (4, 1));
    assert!(world.read(sales).is_empty() && world.switch.take_deliveries().is_empty());
}

#[test]
fn an_actor_that_ends_fails_what_it_was_asked_at_once() {
    let mut world = World::fleet();
    let (db, sales) = (inside(&mut world, "db"), world.requester("sales#1"));
    world.switch.subscribe_local(db, 1, b"rpc.db", None);
    world.publish(sales, "rpc.db _INBOX.sales#1.1", "?");
    world.close(db);
    assert!(world.read(sales)[0].contains("stopped: db ended before it answered"));
    world.publish_local(db, "orders", None, "from the grave");
    assert_eq!(world.switch.stats().traffic.in_msgs, 1);
}

#[test]
fn the_system_answers_in_inboxes_it_was_not_told_of() {
    let mut world = World::fleet();
    let (system, sales) = (world.switch.open_local(Who::System, world.now.steady), world.requester("sales#1"));
    world.publish_local(system, "_INBOX.sales#1.9", None, "done");
    assert_eq!(world.read(sales), [r#"_INBOX.sales#1.9 in "done" [Werkpilot-From: werkpilot]"#]);
}

#[test]
fn two_actors_talk_without_a_byte_on_the_wire() {
    let mut world = World::fleet();
    let (db, sales) = (inside(&mut world, "db"), inside(&mut world, "sales"));
    world.switch.subscribe_local(db, 1, b"rpc.db", None);
    world.switch.subscribe_local(sales, 1, b"_INBOX.s.*", None);
    world.publish_local(sales, "rpc.db", Some("_INBOX.s.1"), "?");
    let asked = one(&mut world);
    assert_eq!((asked.to, asked.from), (db, Who::Agent(name("sales"))));
    world.publish_local(db, &String::from_utf8(asked.reply.unwrap().into()).unwrap(), None, "!");
    let answer = one(&mut world);
    assert_eq!((answer.to, answer.from, answer.payload), (sales, Who::Agent(name("db")), b"!".to_vec()));
    assert!(!world.switch.has_dirty() && world.switch.connections_len() == 0);
}
