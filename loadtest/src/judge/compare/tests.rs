use super::*;
use crate::report::outcome::{Made, tests::outcome};

fn compare(old: &Outcome, new: &Outcome, noise: f64) -> Result<Comparison> {
    super::compare(std::slice::from_ref(old), std::slice::from_ref(new), noise)
}

fn of_a_server_with(flags: Option<&[&str]>) -> Outcome {
    let flags = flags.map(|flags| flags.iter().map(|flag| (*flag).to_owned()).collect());
    let made = Made { server_flags: flags, ..Made::default() };
    Outcome { made: Some(made), ..outcome() }
}

#[test]
fn servers_with_other_flags_are_not_compared_in_silence() {
    let durable = of_a_server_with(Some(&["--listen=127.0.0.1:0"]));
    let volatile = of_a_server_with(Some(&["--listen=127.0.0.1:0", "--store=memory"]));
    assert!(!compare(&durable, &durable, NOISE).unwrap().words().contains("flags"));
    let words = compare(&durable, &volatile, NOISE).unwrap().words();
    assert!(
        words.contains("only the old one with nothing, only the new one with --store=memory"),
        "{words}"
    );
    let there = of_a_server_with(None);
    for (old, new, who) in [
        (&outcome(), &durable, "the old run does not say"),
        (&durable, &there, "the new run does not say"),
        (&there, &outcome(), "neither run says"),
    ] {
        let words = compare(old, new, NOISE).unwrap().words();
        assert!(words.contains(who), "{words}");
    }
}

/// What becomes of a figure from one run to the next.
fn becomes(figure: &str, old: f64, new: f64) -> Change {
    row(figure.parse().unwrap(), &Sample::of([old]), &Sample::of([new]), NOISE).change
}

#[test]
fn only_what_is_beyond_the_noise_is_a_change() {
    assert_eq!(becomes("ack_p99_ms", 10.0, 11.0), Change::Same);
    assert_eq!(becomes("ack_p99_ms", 10.0, 12.0), Change::Worse);
    assert_eq!(becomes("ack_p99_ms", 10.0, 8.0), Change::Better);
    // A tenth of a millisecond is half of nothing.
    assert_eq!(becomes("ack_p50_ms", 0.2, 0.3), Change::Same);
    assert_eq!(becomes("messages_per_second", 100.0, 80.0), Change::Worse);
    assert_eq!(becomes("messages_per_second", 100.0, 120.0), Change::Better);
    assert_eq!(becomes("server_resident_growth_mb", 1.0, 5.0), Change::Same);
}

/// Runs in which a figure had these values.
fn runs(figure: &str, values: &[f64]) -> Vec<Outcome> {
    let run = |value: &f64| {
        let mut run = of_a_server_with(Some(&[]));
        run.figures.put(figure, *value);
        run
    };
    values.iter().map(run).collect()
}

fn of_several(figure: &str, old: &[f64], new: &[f64]) -> Row {
    let compared = super::compare(&runs(figure, old), &runs(figure, new), NOISE).unwrap();
    assert!(compared.own_noise && compared.words().contains("own noise"));
    compared.rows.into_iter().find(|row| row.figure.name() == figure).unwrap()
}

#[test]
fn several_runs_are_held_against_each_figures_own_noise() {
    let steady = [100.0, 101.0, 99.0, 100.0, 100.0];
    let restless = [60.0, 140.0, 100.0, 80.0, 120.0];
    let slower = |by: f64| steady.map(|value| value * by);
    // Six per cent are noise beside the usual part, and none of a figure that is as steady as this
    // one.
    assert_eq!(becomes("ack_p99_ms", 100.0, 106.0), Change::Same);
    assert_eq!(of_several("ack_p99_ms", &steady, &slower(1.06)).change, Change::Worse);
    assert_eq!(of_several("ack_p99_ms", &steady, &slower(0.94)).change, Change::Better);
    assert_eq!(of_several("ack_p99_ms", &steady, &slower(1.01)).change, Change::Same);
    // A quarter more would be worse beside the usual part, and is none of a figure that is as
    // restless as this one.
    assert_eq!(becomes("ack_p99_ms", 100.0, 125.0), Change::Worse);
    let noisy = restless.map(|value| value * 1.25);
    assert_eq!(of_several("ack_p99_ms", &restless, &noisy).change, Change::Same);
    // Several old ones and a single new one.
    assert_eq!(of_several("ack_p99_ms", &steady, &[110.0]).change, Change::Worse);
    // However alike they were: nobody acts on a hundredth.
    assert_eq!(of_several("ack_p99_ms", &[100.0; 3], &[101.0; 3]).change, Change::Same);
}

#[test]
fn of_several_runs_the_void_ones_are_left_out_and_any_loss_counts() {
    let mut old = runs("ack_p99_ms", &[10.0, 10.1, 900.0]);
    (old[2].verdict, old[2].void) = (Verdict::Void, Some(String::from("late")));
    let new = runs("ack_p99_ms", &[10.0, 10.2, 10.1]);
    let compared = super::compare(&old, &new, NOISE).unwrap();
    assert_eq!((compared.old_runs, compared.void), (2, false));
    assert!(compared.words().contains("one of the old runs is void"), "{}", compared.words());
    assert_eq!(compared.exit(), Exit::Kept);
    // One of the new runs lost something, though it is void.
    let mut lost = new.clone();
    lost[1].figures.put("lost", 1.0);
    (lost[1].verdict, lost[1].void) = (Verdict::Void, Some(String::from("late")));
    assert_eq!(super::compare(&old, &lost, NOISE).unwrap().exit(), Exit::Broken);
    assert_eq!(super::compare(&old[2..], &new, NOISE).unwrap().exit(), Exit::Void);
    assert!(super::compare(&[], &new, NOISE).is_err());
}

#[test]
fn worse_is_told_apart_from_broken() {
    let old = runs("ack_p99_ms", &[10.0]);
    let exit = |figure: &str, value: f64| {
        let mut new = runs("ack_p99_ms", &[10.0]);
        new[0].figures.put(figure, value);
        let compared = super::compare(&old, &new, NOISE).unwrap();
        let said = compared.differences();
        assert_eq!(said.contains("WORSE"), compared.exit() != Exit::Kept, "{said}");
        compared.exit()
    };
    assert_eq!(exit("ack_p99_ms", 10.0), Exit::Kept);
    assert_eq!(exit("ack_p99_ms", 20.0), Exit::Worse);
    assert_eq!(exit("lost", 1.0), Exit::Broken);
    let mut less = runs("ack_p99_ms", &[10.0]);
    less[0].figures.take("ack_p99_ms");
    assert_eq!(super::compare(&old, &less, NOISE).unwrap().exit(), Exit::Worse);
}

#[test]
fn a_folder_of_several_runs_is_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for (number, run) in (1..).zip(runs("ack_p99_ms", &[1.0, 2.0, 3.0])) {
        run.write(&folder.path().join(format!("run-{number}"))).unwrap();
    }
    let one = folder.path().join("run-2");
    let read = side(&[folder.path().to_owned(), one]).unwrap();
    let values: Vec<_> =
        read.iter().map(|run| run.figures.get("ack_p99_ms".parse().unwrap()).unwrap()).collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 2.0]);
    assert!(side(&[]).is_err());
    assert!(side(&[folder.path().join("none")]).is_err());
}
