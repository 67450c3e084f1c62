//! Any change, removal, insertion or swap is found; and what gave way in order is not one.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn entry(number: u64) -> Entry {
    Entry {
        time: Timestamp::from_secs(i64::try_from(number).unwrap()),
        who: "ada".to_owned(),
        way: "control_socket".to_owned(),
        action: format!("POST /api/v1/agents/a-{number}/stop"),
        target: Some(format!("a-{number}")),
        before: Some(r#"{"status":"running"}"#.to_owned()),
        status: Some(200),
        ..Entry::default()
    }
}

fn chain(length: u64) -> Vec<Sealed> {
    let mut at = Link::START;
    (1..=length)
        .map(|number| {
            let sealed = at.seal(entry(number));
            at = sealed.link();
            sealed
        })
        .collect()
}

fn checked(entries: &[Sealed], whole: &[Sealed]) -> Result<Link, Broken> {
    verify(Link::START, entries, whole.last().map_or(Link::START, Sealed::link))
}

#[test]
fn a_chain_holds_from_its_start_and_from_each_anchor() {
    let whole = chain(20);
    for begin in 0..20_usize {
        let anchor = begin.checked_sub(1).map_or(Link::START, |last| whole[last].link());
        assert_eq!(verify(anchor, &whole[begin..], whole[19].link()), Ok(whole[19].link()));
    }
    assert_eq!(verify(Link::START, &[], Link::START), Ok(Link::START));
    assert_eq!(verify(whole[19].link(), &[], whole[19].link()), Ok(whole[19].link()));
}

#[rstest]
#[case::who(|entry: &mut Entry| entry.who.push('x'))]
#[case::way(|entry: &mut Entry| entry.way.push('x'))]
#[case::time(|entry: &mut Entry| entry.time = Timestamp::from_secs(99))]
#[case::peer(|entry: &mut Entry| entry.peer = Some(String::new()))]
#[case::action(|entry: &mut Entry| entry.action.push('x'))]
#[case::target(|entry: &mut Entry| entry.target = None)]
#[case::before(|entry: &mut Entry| entry.before = None)]
#[case::after(|entry: &mut Entry| entry.after = Some("{}".to_owned()))]
#[case::status(|entry: &mut Entry| entry.status = Some(403))]
#[case::detail(|entry: &mut Entry| entry.detail = Some(String::new()))]
#[case::moved(|entry: &mut Entry| { entry.detail = entry.before.take(); })]
fn each_field_counts(#[case] change: fn(&mut Entry)) {
    let whole = chain(5);
    for place in 0..5 {
        let mut changed = whole.clone();
        change(&mut changed[place].entry);
        assert_eq!(checked(&changed, &whole), Err(Broken::Changed { id: place as u64 + 1 }));
    }
}

#[test]
fn the_first_broken_place_is_named() {
    let whole = chain(9);
    let mut without = whole.clone();
    without.remove(3);
    assert_eq!(checked(&without, &whole), Err(Broken::Missing { expected: 4, found: 5 }));
    assert_eq!(checked(&whole[..7], &whole), Err(Broken::Cut { last: 7, head: 9 }));
    assert_eq!(checked(&whole[1..], &whole), Err(Broken::Missing { expected: 1, found: 2 }));
    let mut forged = whole.clone();
    forged[3].entry.who = "eve".to_owned();
    forged[3].hash = hash(forged[3].prev, 4, &forged[3].entry);
    assert_eq!(checked(&forged, &whole), Err(Broken::NotLinked { id: 5 }), "a hash made anew is found by the next one");
    let mut last = whole.clone();
    last[8].entry.who = "eve".to_owned();
    last[8].hash = hash(last[8].prev, 9, &last[8].entry);
    assert_eq!(checked(&last, &whole), Err(Broken::NotLinked { id: 9 }), "and that of the last one by the head");
    let text = Broken::Missing { expected: 4, found: 5 }.to_string();
    assert_eq!(text, "audit entry 4 is missing: entry 5 stands in its place");
}

proptest! {
    #[test]
    fn any_swap_removal_or_doubling_is_found(length in 2..40_usize, one in 0..40_usize, other in 0..40_usize) {
        let (one, other) = (one % length, other % length);
        let whole = chain(length as u64);
        prop_assert!(checked(&whole, &whole).is_ok());
        let mut swapped = whole.clone();
        swapped.swap(one, other);
        prop_assert_eq!(checked(&swapped, &whole).is_ok(), one == other);
        let mut without = whole.clone();
        without.remove(one);
        prop_assert!(checked(&without, &whole).is_err());
        let mut doubled = whole.clone();
        doubled.insert(other, whole[one].clone());
        prop_assert!(checked(&doubled, &whole).is_err());
        // Under another's number, too.
        let mut renumbered = whole.clone();
        renumbered[one].entry = whole[other].entry.clone();
        prop_assert_eq!(checked(&renumbered, &whole).is_ok(), one == other);
    }

    #[test]
    fn any_changed_byte_of_a_text_is_found(text in ".{1,40}", other in ".{0,40}", place in 0..6_u64) {
        prop_assume!(text != other);
        let with = |text: &str| {
            let mut at = Link::START;
            let entries: Vec<Sealed> = (0..6).map(|number| {
                let before = (number == place).then(|| text.to_owned());
                let sealed = at.seal(Entry { before, ..entry(number) });
                at = sealed.link();
                sealed
            }).collect();
            entries
        };
        let (whole, mut changed) = (with(&text), with(&text));
        let slot = usize::try_from(place).unwrap();
        changed[slot].entry.before = Some(other);
        prop_assert_eq!(checked(&changed, &whole), Err(Broken::Changed { id: place + 1 }));
    }
}
