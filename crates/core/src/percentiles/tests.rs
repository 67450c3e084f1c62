use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::window::{decode_micros, decode_ms, encode};
use super::*;
use crate::backoff::Dice;
use crate::time::{Clocks, Moment, Timestamp};

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// The definition: the ⌈p/100 · n⌉-th smallest.
fn nearest_rank(sorted: &[f64], percent: usize) -> f64 {
    sorted[(percent * sorted.len()).div_ceil(100) - 1]
}

#[test]
fn an_empty_window_has_no_percentiles_and_no_memory() {
    let window = SampleWindow::new(1_000);
    assert_eq!(window.summary(), Summary::default());
    assert_eq!(window.heap_bytes(), 0);
    assert!(window.is_empty());
}

#[rstest]
#[case(1, 1.0, 1.0, 1.0)]
#[case(2, 1.0, 2.0, 2.0)]
#[case(20, 10.0, 19.0, 20.0)]
#[case(100, 50.0, 95.0, 99.0)]
#[case(101, 51.0, 96.0, 100.0)]
#[case(1_000, 500.0, 950.0, 990.0)]
fn percentiles_are_the_nearest_rank(#[case] samples: u64, #[case] p50: f64, #[case] p95: f64, #[case] p99: f64) {
    let mut window = SampleWindow::new(1_000);
    for ms in (1..=samples).rev() {
        window.push(Duration::from_millis(ms));
    }
    let mean_ms = Some((samples + 1) as f64 / 2.0);
    let expected = Summary { count: samples, p50_ms: Some(p50), p95_ms: Some(p95), p99_ms: Some(p99), mean_ms };
    assert_eq!(window.summary(), expected);
    assert_eq!(window.summary(), expected, "the second answer, which is remembered");
}

#[test]
fn the_oldest_sample_is_forgotten_whatever_its_value() {
    let mut window = SampleWindow::new(10);
    for ms in [1_000; 10] {
        window.push(Duration::from_millis(ms));
    }
    for ms in [1; 10] {
        window.push(Duration::from_millis(ms));
    }
    let summary = window.summary();
    assert_eq!((summary.count, summary.p50_ms, summary.p99_ms, summary.mean_ms), (20, Some(1.0), Some(1.0), Some(1.0)));
}

#[test]
fn a_thousand_slow_executions_after_a_million_fast_ones_are_all_that_is_seen() {
    let mut window = SampleWindow::new(1_000);
    for _ in 0..1_000_000 {
        window.push(Duration::from_millis(1));
    }
    assert_eq!(window.summary().p99_ms, Some(1.0));
    for _ in 0..1_000 {
        window.push(Duration::from_secs(5));
    }
    let summary = window.summary();
    assert_eq!([summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.mean_ms], [Some(5_000.0); 4]);
    assert_eq!(summary.count, 1_001_000);
}

#[rstest]
#[case(Duration::ZERO, 0)]
#[case(Duration::from_nanos(1_999), 1)]
#[case(micros((1 << 31) - 1), (1 << 31) - 1)]
#[case::to_the_millisecond(micros((1 << 31) + 999), 2_147_484_000)]
#[case::two_hours(Duration::from_hours(2), 7_200_000_000)]
#[case::saturates(Duration::MAX, ((1_u64 << 31) - 1) * 1_000)]
fn samples_are_kept_to_the_microsecond(#[case] duration: Duration, #[case] kept: u64) {
    assert_eq!(decode_micros(encode(duration)), kept);
}

#[test]
fn a_smaller_window_keeps_the_newest_samples() {
    let mut window = SampleWindow::new(5);
    for ms in 1..=7 {
        window.push(Duration::from_millis(ms));
    }
    assert_eq!(window.newest_ms(2).collect::<Vec<_>>(), [6.0, 7.0]);
    assert_eq!(window.newest_ms(9).collect::<Vec<_>>(), [3.0, 4.0, 5.0, 6.0, 7.0]);
    window.resize(3);
    assert_eq!(window.summary().mean_ms, Some(6.0));
    window.resize(4);
    for ms in [8, 9] {
        window.push(Duration::from_millis(ms));
    }
    let summary = window.summary();
    assert_eq!((summary.count, summary.p50_ms, summary.mean_ms), (9, Some(7.0), Some(7.5)));
}

#[test]
fn a_restored_window_goes_on_forgetting_the_oldest() {
    let mut window = SampleWindow::new(1_000);
    for ms in (1..=1_500).rev() {
        window.push(Duration::from_millis(ms));
    }
    let last = (1..=1_000).rev().map(Duration::from_millis);
    let mut restored = SampleWindow::restored(1_000, 1_500, last.clone());
    assert_eq!(restored.summary(), window.summary());
    for ms in 0..700 {
        window.push(Duration::from_millis(ms));
        restored.push(Duration::from_millis(ms));
        assert_eq!(restored.summary(), window.summary());
    }
    let newest = SampleWindow::restored(10, 1_500, last);
    assert_eq!(newest.summary().p99_ms, Some(10.0));
    assert_eq!(newest.summary().count, 1_500);
}

proptest! {
    #[test]
    fn a_window_agrees_with_sorting_the_last_samples(
        samples in prop::collection::vec(0_u64..5_000_000_000, 1..400),
        sizes in prop::collection::vec(1_u16..150, 1..4),
        asked in prop::collection::vec(any::<bool>(), 400),
    ) {
        let mut window = SampleWindow::new(sizes[0]);
        let mut kept: Vec<f64> = Vec::new();
        let mut capacity = usize::from(sizes[0]);
        for (at, sample) in samples.iter().enumerate() {
            if at % 100 == 99 {
                let size = sizes[at / 100 % sizes.len()];
                window.resize(size);
                capacity = size.into();
                kept.drain(..kept.len().saturating_sub(capacity));
            }
            window.push(micros(*sample));
            kept.push(decode_ms(encode(micros(*sample))));
            kept.drain(..kept.len().saturating_sub(capacity));
            if !asked[at] && at + 1 < samples.len() {
                continue;
            }
            let mut sorted = kept.clone();
            sorted.sort_by(f64::total_cmp);
            let summary = window.summary();
            prop_assert_eq!(summary.count, at as u64 + 1);
            prop_assert_eq!(summary.p50_ms, Some(nearest_rank(&sorted, 50)));
            prop_assert_eq!(summary.p95_ms, Some(nearest_rank(&sorted, 95)));
            prop_assert_eq!(summary.p99_ms, Some(nearest_rank(&sorted, 99)));
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            prop_assert!((summary.mean_ms.unwrap() - mean).abs() <= mean * 1e-9);
        }
    }

    #[test]
    fn the_order_of_kept_samples_is_the_order_of_the_durations(one: Duration, other: Duration) {
        prop_assert!(one > other || encode(one) <= encode(other));
    }
}

/// Sum of three uniform numbers: near enough to normal.
fn normal(dice: &mut Dice) -> f64 {
    2.0 * (dice.unit() + dice.unit() + dice.unit() - 1.5)
}

fn lognormal(dice: &mut Dice) -> f64 {
    100.0 * normal(dice).exp()
}

/// Nine of ten around 10 ms, the others around 2 s.
fn bimodal(dice: &mut Dice) -> f64 {
    if dice.unit() < 0.9 { 10.0 * (0.2 * normal(dice)).exp() } else { 2_000.0 * (0.2 * normal(dice)).exp() }
}

/// Long-tailed: most values around 100, a few thousands of times that.
fn skewed(dice: &mut Dice) -> f64 {
    lognormal(dice) / (1.001 - dice.unit())
}

/// Few values, many times each.
fn steps(dice: &mut Dice) -> f64 {
    (dice.unit() * 5.0).floor() * 100.0
}

fn rank_error(sorted: &[f64], value: f64, quantile: f64) -> f64 {
    let below = sorted.partition_point(|sample| *sample < value) as f64 / sorted.len() as f64;
    let up_to = sorted.partition_point(|sample| *sample <= value) as f64 / sorted.len() as f64;
    if quantile < below { below - quantile } else { (quantile - up_to).max(0.0) }
}

fn worst_error(samples: &mut [f64], summary: Summary) -> f64 {
    samples.sort_by(f64::total_cmp);
    let found = [(summary.p50_ms, 0.5), (summary.p95_ms, 0.95), (summary.p99_ms, 0.99)];
    found.into_iter().map(|(value, quantile)| rank_error(samples, value.unwrap(), quantile)).fold(0.0, f64::max)
}

/// A digest fed in batches, and the values that it was fed with, as it keeps them.
#[expect(clippy::cast_possible_truncation, reason = "as the digest does")]
fn fed(values: impl IntoIterator<Item = f64>, batch: usize) -> (Digest, Vec<f64>) {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    let mut digest = Digest::new();
    for batch in values.chunks(batch) {
        digest.absorb(&mut batch.to_vec());
    }
    (digest, values.into_iter().map(f64::from).collect())
}

#[rstest]
#[case::lognormal(lognormal)]
#[case::bimodal(bimodal)]
#[case::skewed(skewed)]
#[case::steps(steps)]
fn a_digest_is_within_one_percent_in_rank(#[case] draw: fn(&mut Dice) -> f64) {
    for seed in 0..5 {
        for (count, batch) in [(150, 7), (3_000, 1_000), (30_000, 256), (200_000, 1_000)] {
            let mut dice = Dice::new(seed);
            let (digest, mut values) = fed((0..count).map(|_| draw(&mut dice)), batch);
            let error = worst_error(&mut values, digest.summary());
            assert!(error <= 0.01 + 1.0 / f64::from(count), "seed {seed}, {count} by {batch}: off by {error} in rank");
        }
    }
}

#[test]
fn a_shift_is_seen_in_a_digest_as_far_as_it_goes() {
    for (share, quantiles) in [(2, [1.0, 1.0, 5_000.0]), (6, [1.0, 5_000.0, 5_000.0]), (52, [5_000.0; 3])] {
        let fast = 100_000 * (100 - share) / 100;
        let values = (0..100_000).map(|at| if at < fast { 1.0 } else { 5_000.0 });
        let summary = fed(values, 1_000).0.summary();
        let found = [summary.p50_ms, summary.p95_ms, summary.p99_ms];
        assert_eq!(found, quantiles.map(Some), "{share} % are slow");
    }
}

#[test]
fn what_is_not_finite_is_left_out() {
    let mut digest = Digest::new();
    digest.absorb(&mut [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(digest.summary(), Summary::default());
    digest.absorb(&mut [f32::NAN, 5.0, 7.0]);
    assert_eq!((digest.summary().count, digest.summary().mean_ms), (2, Some(6.0)));
}

#[test]
fn a_digest_of_the_first_form_is_read() {
    let head = [3.0, 12.0, 2.0, 6.0];
    let centroids = [2.0, 1.0, 4.0, 1.0, 6.0, 1.0];
    let mut bytes = vec![1];
    bytes.extend(head.into_iter().chain(centroids).flat_map(f64::to_le_bytes));
    let summary = Digest::decode(&bytes).unwrap().summary();
    assert_eq!((summary.count, summary.p50_ms, summary.p99_ms, summary.mean_ms), (3, Some(4.0), Some(6.0), Some(4.0)));
}

proptest! {
    #[test]
    fn as_long_as_there_are_few_values_a_digest_is_exact(values in prop::collection::vec(0_u16..500, 1..=MOST_CENTROIDS)) {
        let (digest, mut sorted) = fed(values.iter().map(|value| f64::from(*value)), 13);
        sorted.sort_by(f64::total_cmp);
        let summary = digest.summary();
        prop_assert_eq!(summary.p50_ms, Some(nearest_rank(&sorted, 50)));
        prop_assert_eq!(summary.p95_ms, Some(nearest_rank(&sorted, 95)));
        prop_assert_eq!(summary.p99_ms, Some(nearest_rank(&sorted, 99)));
    }

    #[test]
    fn a_digest_is_read_as_it_was_written_and_is_small(values in prop::collection::vec(-1e9..1e9_f64, 1..3_000)) {
        let (digest, _) = fed(values, 700);
        let bytes = digest.encode();
        prop_assert_eq!(Digest::decode(&bytes), Some(digest));
        prop_assert!(bytes.len() <= 17 + 6 * MOST_CENTROIDS, "{} bytes", bytes.len());
        prop_assert_eq!(Digest::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn digests_that_were_merged_one_by_one_or_gathered_are_within_one_and_a_half_percent_in_rank(seed: u64, parts in prop::collection::vec(1_usize..2_000, 1..40)) {
        let mut dice = Dice::new(seed);
        let (mut merged, mut all, mut digests) = (Digest::new(), Vec::new(), Vec::new());
        for (at, part) in parts.into_iter().enumerate() {
            let (digest, values) = fed((0..part).map(|_| lognormal(&mut dice) * (at + 1) as f64), 256);
            merged.merge(&digest);
            all.extend(values);
            digests.push(digest);
        }
        let gathered = Digest::gathered(&digests);
        prop_assert_eq!((merged.count(), gathered.count()), (all.len() as u64, all.len() as u64));
        for summary in [merged.summary(), gathered.summary()] {
            let error = worst_error(&mut all, summary) - 1.0 / all.len() as f64;
            prop_assert!(error <= 0.015, "{}", error);
        }
    }

    #[test]
    fn bytes_that_are_no_digest_are_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let summary = Digest::decode(&bytes).map(|digest| digest.summary());
        prop_assert!(summary.is_none_or(|summary| summary.p50_ms.is_some_and(f64::is_finite)));
    }
}

/// Noon of some day, and so many milliseconds later.
fn at(millis: u64) -> Clocks {
    let noon = 20_000 * 86_400_000 + 43_200_000;
    Clocks {
        steady: Moment::from_millis(1_000_000 + millis),
        wall: Timestamp::from_millis(noon + i64::try_from(millis).unwrap()),
    }
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// What the store holds after these rows.
fn stored(rows: &[SlotRow], slot: Slot) -> Vec<SlotRow> {
    let of_slot = rows.iter().filter(|row| row.slot == slot);
    let by_time: std::collections::BTreeMap<_, _> = of_slot.map(|row| (row.at.as_millis(), row.clone())).collect();
    by_time.into_values().collect()
}

fn counts(slot: Slot, rows: &[SlotRow], memory: InMemory) -> Vec<u64> {
    let points = Points::new(slot, stored(rows, slot), memory);
    let (since, until) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
    points.figures(since, until).into_iter().map(|figures| figures.summary.count).collect()
}

#[test]
fn a_figure_that_changes_seldom_is_written_at_once_and_a_busy_one_at_last_every_five_seconds() {
    let (mut durations, mut rows) = (Durations::new(1_000), Vec::new());
    assert!(durations.push(micros(5), at(0), &mut rows));
    assert_eq!(durations.series.next(at(0)), Some(at(0).steady));
    durations.drive(at(10), &mut rows);
    assert_eq!(rows.len(), 1);
    assert_eq!(durations.series.next(at(10)), Some(at(MINUTE).steady), "all that is left is to finish the minute");
    assert!(durations.push(micros(5), at(15), &mut rows));
    assert!(!durations.push(micros(5), at(16), &mut rows));
    assert_eq!(durations.series.next(at(16)), Some(at(20).steady));
    durations.drive(at(19), &mut rows);
    assert_eq!(rows.len(), 1, "too early");
    durations.drive(at(20), &mut rows);
    assert_eq!((rows.len(), stored(&rows, Slot::Minute).len()), (2, 1));
    let mut written = vec![20];
    for ms in 21..MINUTE {
        durations.push(micros(5), at(ms), &mut rows);
        let before = rows.len();
        durations.drive(at(ms), &mut rows);
        written.extend((rows.len() > before).then_some(ms));
    }
    assert_eq!(written[..5], [20, 40, 80, 160, 320]);
    assert_eq!(written.last_chunk::<2>().map(|[one, other]| other - one), Some(5_000));
    assert_eq!((written.len(), stored(&rows, Slot::Minute).len()), (19, 1));
    rows.clear();
    durations.drive(at(MINUTE + 1), &mut rows);
    assert_eq!(rows.len(), 3, "the minute, the hour and the day");
    assert_eq!(durations.series.next(at(MINUTE + 1)), None);
}

#[test]
fn each_value_is_in_one_minute_one_hour_and_one_day() {
    let (mut durations, mut rows) = (Durations::new(100), Vec::new());
    let mut stream = Stream::default();
    let mut of_stream = Vec::new();
    for step in 0..3_000_u64 {
        let now = at(step * 2_500);
        durations.push(micros(step), now, &mut rows);
        stream.push(step as f64, now, &mut of_stream);
        if step % 3 == 0 {
            durations.drive(now, &mut rows);
            stream.drive(now, &mut of_stream);
        }
    }
    for (rows, memory) in [(&rows, durations.in_memory()), (&of_stream, stream.in_memory())] {
        assert_eq!(counts(Slot::Minute, rows, memory.clone()), [24; 125]);
        assert_eq!(counts(Slot::Hour, rows, memory.clone()), [1_440, 1_440, 120]);
        assert_eq!(counts(Slot::Day, rows, memory), [3_000]);
    }
    assert_eq!(durations.today(at(2 * HOUR).wall).count(), 3_000);
    assert_eq!(durations.today(at(13 * HOUR).wall).count(), 0, "another day");
}

#[test]
fn a_crash_in_the_middle_of_a_minute_loses_nothing_that_was_written() {
    let (mut before, mut rows) = (Durations::new(1_000), Vec::new());
    for second in 0..90 {
        before.push(Duration::from_millis(second), at(second * 1_000), &mut rows);
    }
    before.write(at(89_500).steady, &mut rows);
    // It ends here, and the next one takes up the newest row of each slot.
    let newest = Slot::ALL.into_iter().filter_map(|slot| stored(&rows, slot).pop());
    let mut after = Durations::restored(SampleWindow::new(1_000), Series::restored(newest));
    assert_eq!(counts(Slot::Hour, &rows, after.in_memory()), [90]);
    after.push(Duration::from_secs(1), at(95_000), &mut rows);
    assert_eq!(counts(Slot::Minute, &rows, after.in_memory()), [60, 31]);
    after.push(Duration::from_secs(1), at(3 * MINUTE), &mut rows);
    after.close(&mut rows);
    assert_eq!(counts(Slot::Minute, &rows, InMemory::default()), [60, 31, 1]);
    assert_eq!(counts(Slot::Hour, &rows, InMemory::default()), [92]);
    assert_eq!(counts(Slot::Day, &rows, InMemory::default()), [92]);
    assert_eq!(
        (stored(&rows, Slot::Hour).len(), stored(&rows, Slot::Day).len()),
        (1, 1),
        "it goes on in the same rows"
    );
}

#[test]
fn a_wall_clock_that_is_set_moves_nothing_and_overwrites_nothing() {
    let (mut stream, mut rows) = (Stream::default(), Vec::new());
    let set_back = |millis: u64, by: u64| Clocks { wall: at(millis - by).wall, ..at(millis) };
    for second in 0..200 {
        stream.push(1.0, at(second * 1_000), &mut rows);
    }
    for second in 200..300 {
        stream.push(1.0, set_back(second * 1_000, 2 * MINUTE + 500), &mut rows);
    }
    let now = set_back(300_000, 2 * MINUTE + 500);
    stream.drive(now, &mut rows);
    let counted = counts(Slot::Minute, &rows, stream.in_memory());
    assert_eq!(counted.iter().sum::<u64>(), 300, "{counted:?}");
    assert_eq!(stream.last_hour(now).count, 300);
}

#[test]
fn the_last_hour_forgets_by_tens_of_minutes() {
    let (mut stream, mut rows) = (Stream::default(), Vec::new());
    for minute in 0..120 {
        stream.push(minute as f64, at(minute * MINUTE), &mut rows);
    }
    let now = at(119 * MINUTE + 30_000);
    let summary = stream.last_hour(now);
    assert!((50..=61).contains(&summary.count), "{summary:?}");
    assert_eq!(summary.p99_ms, Some(119.0));
    assert_eq!(stream.last_hour(at(300 * MINUTE)).count, 0);
    // The same from disk.
    stream.write(now.steady, &mut rows);
    let newest: Vec<SlotRow> = Slot::ALL.into_iter().filter_map(|slot| stored(&rows, slot).pop()).collect();
    let minutes = stored(&rows, Slot::Minute);
    let start = Clocks { steady: Moment::from_secs(1), ..now };
    let restored = Stream::restored(Series::restored(newest), minutes, start);
    assert!((50..=61).contains(&restored.last_hour(start).count));
}

#[test]
fn merged_is_what_lies_between() {
    let (mut stream, mut rows) = (Stream::default(), Vec::new());
    for minute in 0..120 {
        stream.push(minute as f64, at(minute * MINUTE), &mut rows);
    }
    let points = Points::new(Slot::Minute, stored(&rows, Slot::Minute), stream.in_memory());
    let summary = points.merged(at(10 * MINUTE).wall, at(20 * MINUTE).wall).summary();
    assert_eq!((summary.count, summary.p50_ms, summary.p99_ms), (10, Some(14.0), Some(19.0)));
}

#[test]
fn a_busy_agent_takes_at_most_six_kibibytes_and_an_idle_one_next_to_nothing() {
    let (mut durations, mut rows) = (Durations::new(u16::MAX), Vec::new());
    assert!(durations.bytes() < 256, "{}", durations.bytes());
    let mut dice = Dice::new(3);
    let mut worst = 0;
    // A day with 4 executions a second, and at its end a minute with 20,000.
    let mut execute = |now: Clocks| {
        durations.push(Duration::from_secs_f64(skewed(&mut dice) / 1_000.0), now, &mut rows);
        rows.clear();
        worst = worst.max(durations.bytes());
    };
    (0..345_600_u64).for_each(|step| execute(at(step * 250)));
    (0..20_000_u64).for_each(|step| execute(at(24 * HOUR + step)));
    assert_eq!(durations.window().len(), 1_000);
    // What is left is for its score.
    assert!(worst <= 6 * 1_024, "{worst} bytes");
}
