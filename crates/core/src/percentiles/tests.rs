use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::backoff::Dice;

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
    assert_eq!(window.samples.capacity(), 0);
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
fn a_full_window_takes_at_most_4200_bytes() {
    let mut window = SampleWindow::new(u16::MAX);
    for sample in 0..5_000 {
        window.push(micros(sample));
    }
    assert_eq!(window.len(), 1_000);
    assert!(window.samples.capacity() * size_of::<u32>() + size_of::<SampleWindow>() <= 4_200);
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
    window.resize(3);
    assert_eq!(window.summary().mean_ms, Some(6.0));
    window.resize(4);
    for ms in [8, 9] {
        window.push(Duration::from_millis(ms));
    }
    let summary = window.summary();
    assert_eq!((summary.count, summary.p50_ms, summary.mean_ms), (9, Some(7.0), Some(7.5)));
}

proptest! {
    #[test]
    fn a_window_agrees_with_sorting_the_last_samples(
        samples in prop::collection::vec(0_u64..5_000_000_000, 1..400),
        sizes in prop::collection::vec(1_u16..150, 1..4),
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
        }
        let mut sorted = kept.clone();
        sorted.sort_by(f64::total_cmp);
        let summary = window.summary();
        prop_assert_eq!(summary.count, samples.len() as u64);
        prop_assert_eq!(summary.p50_ms, Some(nearest_rank(&sorted, 50)));
        prop_assert_eq!(summary.p95_ms, Some(nearest_rank(&sorted, 95)));
        prop_assert_eq!(summary.p99_ms, Some(nearest_rank(&sorted, 99)));
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        prop_assert!((summary.mean_ms.unwrap() - mean).abs() <= mean * 1e-9);
    }

    #[test]
    fn the_order_of_kept_samples_is_the_order_of_the_durations(one: Duration, other: Duration) {
        prop_assert!(one > other || encode(one) <= encode(other));
    }
}

/// Long-tailed: most values around 100, a few thousands of times that.
fn skewed(dice: &mut Dice) -> f64 {
    100.0 * (2.0 * (dice.unit() + dice.unit() + dice.unit() - 1.5)).exp() / (1.001 - dice.unit())
}

fn rank_error(sorted: &[f64], value: f64, quantile: f64) -> f64 {
    let below = sorted.partition_point(|sample| *sample < value) as f64 / sorted.len() as f64;
    let up_to = sorted.partition_point(|sample| *sample <= value) as f64 / sorted.len() as f64;
    if quantile < below { below - quantile } else { (quantile - up_to).max(0.0) }
}

#[rstest]
#[case::few(3)]
#[case::some(50)]
#[case::many(2_000)]
fn an_hour_of_merged_minutes_is_within_one_percent_in_rank(#[case] per_minute: u32) {
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let mut ring = DigestRing::minutes();
        let mut samples = Vec::new();
        for minute in 0..60_u32 {
            for _ in 0..per_minute {
                let value = skewed(&mut dice) * f64::from(minute + 1);
                ring.push(value, Moment::from_secs(u64::from(minute) * 60));
                samples.push(value);
            }
        }
        samples.sort_by(f64::total_cmp);
        let summary = ring.merged(Duration::from_hours(1), Moment::from_secs(3_599));
        assert_eq!(summary.count, samples.len() as u64);
        for (value, quantile) in [(summary.p50_ms, 0.5), (summary.p95_ms, 0.95), (summary.p99_ms, 0.99)] {
            let error = rank_error(&samples, value.unwrap(), quantile);
            assert!(error <= 0.01, "seed {seed}: off by {error} in rank at {quantile}");
        }
    }
}

#[test]
fn a_ring_forgets_whole_slots_and_merges_only_those_asked_for() {
    let mut ring = DigestRing::minutes();
    for minute in 0..90_u64 {
        ring.push(minute as f64, Moment::from_secs(minute * 60));
    }
    let now = Moment::from_secs(89 * 60 + 30);
    let merged = |window| ring.merged(Duration::from_secs(window), now);
    assert_eq!(merged(86_400).count, 60);
    assert_eq!(merged(3_600).p50_ms, Some(59.5));
    assert_eq!((merged(1).count, merged(1).p99_ms), (1, Some(89.0)));
    assert_eq!(merged(61).count, 2, "rounded up to whole slots");
    assert_eq!(ring.merged(Duration::from_mins(1), Moment::from_secs(7_200)), Summary::default(), "a quiet minute");
}

#[test]
fn what_is_not_finite_is_left_out_and_what_is_idle_takes_no_memory() {
    let mut ring = DigestRing::hours();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        ring.push(value, Moment::ZERO);
    }
    assert_eq!(ring.digests.capacity(), 0);
    assert_eq!(ring.merged(Duration::MAX, Moment::ZERO), Summary::default());
    ring.push(5.0, Moment::from_secs(7_200));
    ring.push(7.0, Moment::ZERO);
    let summary = ring.merged(Duration::from_secs(1), Moment::from_secs(7_200));
    assert_eq!((summary.count, summary.mean_ms), (2, Some(6.0)), "a value from the past goes into the newest slot");
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
    fn a_slot_is_read_as_it_was_written(values in proptest::collection::vec(-1e9..1e9_f64, 1..3_000)) {
        let (mut ring, now) = (DigestRing::minutes(), Moment::from_secs(61));
        for value in &values {
            ring.push(*value, now);
        }
        let (number, age, bytes) = ring.newest(now).unwrap();
        prop_assert_eq!((number, age), (1, Duration::from_secs(1)));
        let mut next = DigestRing::minutes();
        prop_assert!(next.restore(age, &bytes, Moment::ZERO));
        let hour = Duration::from_hours(1);
        prop_assert_eq!(next.merged(hour, Moment::ZERO), ring.merged(hour, now));
        prop_assert_eq!(next.newest(Moment::ZERO), None, "it is written already");
    }

    #[test]
    fn bytes_that_are_no_digest_are_left_out(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut ring = DigestRing::minutes();
        let _ = ring.restore(Duration::ZERO, &bytes, Moment::ZERO);
        let summary = ring.merged(Duration::from_hours(1), Moment::ZERO);
        prop_assert!(summary.p50_ms.is_none_or(f64::is_finite));
    }
}
