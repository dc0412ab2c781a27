//! A result as JUnit's XML, so that whatever shows tests shows thresholds: a suite for each run, a
//! case for each bound.

use crate::clock;
use crate::judge::compare::{Change, Comparison};
use crate::judge::verdict::{Judged, NO_MATTER_HOW_LATE};
use crate::number::long;
use crate::report::outcome::{Ended, Outcome};
use crate::report::{bounds, escaped, number};

/// What became of one case.
enum Became {
    Passed,
    /// It was held, and did not.
    Failed(String),
    /// It could not be held at all.
    Erred(String),
    /// It says nothing.
    Skipped(String),
}

struct Case {
    class: String,
    name: String,
    became: Became,
}

/// The whole file.
pub(crate) fn xml(runs: &[Outcome]) -> String {
    let suites: String = runs.iter().map(suite).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"livehelp-load\">\n{suites}</testsuites>\n"
    )
}

fn suite(run: &Outcome) -> String {
    let cases = cases(run);
    let count = |is: fn(&Became) -> bool| cases.iter().filter(|case| is(&case.became)).count();
    let mut text = format!(
        "<testsuite name=\"{}\" id=\"{}\" timestamp=\"{}\" time=\"{:.3}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        attribute(&run.scenario.name),
        attribute(&run.run),
        clock::iso_8601(run.begun_unix_ms).trim_end_matches('Z'),
        run.phases.iter().map(|phase| phase.seconds).sum::<f64>(),
        long(cases.len()),
        count(|became| matches!(became, Became::Failed(_))),
        count(|became| matches!(became, Became::Erred(_))),
        count(|became| matches!(became, Became::Skipped(_))),
    );
    for Case { class, name, became } in &cases {
        let (class, name) = (attribute(class), attribute(name));
        let case = format!("<testcase classname=\"{class}\" name=\"{name}\" time=\"0\"");
        let with = |kind: &str, words: &str| {
            format!("{case}><{kind} message=\"{}\"/></testcase>\n", attribute(words))
        };
        text.push_str(&match became {
            Became::Passed => format!("{case}/>\n"),
            Became::Failed(words) => with("failure", words),
            Became::Erred(words) => with("error", words),
            Became::Skipped(words) => with("skipped", words),
        });
    }
    text.push_str("</testsuite>\n");
    text
}

fn cases(run: &Outcome) -> Vec<Case> {
    let class = format!("livehelp-load.{}", run.scenario.name);
    let case = |name: &str, became| Case { class: class.clone(), name: name.to_owned(), became };
    let gone = run.ended == Ended::ServerGone;
    let sound = match &run.void {
        Some(words) => Became::Erred(words.clone()),
        None if gone => Became::Erred(run.faults.join("; ")),
        None => Became::Passed,
    };
    let other =
        if run.faults.is_empty() { Became::Passed } else { Became::Failed(run.faults.join("; ")) };
    let mut cases =
        vec![case("the run says something", sound), case("nothing else went wrong", other)];
    let thresholds = run.thresholds.iter().map(|judged| {
        let name = format!("{} is {}", judged.figure, bounds(judged.min, judged.max));
        case(&name, threshold(run, judged))
    });
    cases.extend(thresholds);
    if let Some(compared) = &run.comparison {
        cases.extend(comparison(compared, &format!("{class}.comparison")));
    }
    cases
}

fn threshold(run: &Outcome, judged: &Judged) -> Became {
    let value = judged.value.map_or_else(|| String::from("absent"), number);
    let says_nothing = run.void.is_some() && !NO_MATTER_HOW_LATE.contains(&judged.figure);
    match (judged.kept, says_nothing) {
        (_, true) => Became::Skipped(format!("is {value}, of a run that is void")),
        (true, false) => Became::Passed,
        (false, false) => Became::Failed(format!("is {value}")),
    }
}

fn comparison(compared: &Comparison, class: &str) -> Vec<Case> {
    let rows = compared.rows.iter().map(|row| {
        let words = format!(
            "{} after {}: {:+.1} %, beyond ±{}",
            number(row.new),
            number(row.old),
            row.percent(),
            number(row.noise)
        );
        let became = match (compared.void, row.change) {
            (true, _) => Became::Skipped(words),
            (false, Change::Worse) => Became::Failed(words),
            (false, Change::Same | Change::Better) => Became::Passed,
        };
        (row.figure, became)
    });
    let lacking = compared
        .lacking
        .iter()
        .map(|lack| (lack.figure, Became::Failed(format!("the {} side has none", lack.by))));
    let cases = rows.chain(lacking).map(|(figure, became)| Case {
        class: class.to_owned(),
        name: format!("{figure} is not worse"),
        became,
    });
    cases.collect()
}

/// As the value of an attribute. A log's colours and the like are no characters of XML.
fn attribute(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    escaped(&clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::compare;
    use crate::report::outcome::tests::outcome;

    /// A part of the file, between two words.
    fn part<'a>(xml: &'a str, from: &str, to: &str) -> &'a str {
        let at = xml.find(from).unwrap_or_else(|| panic!("no {from} in {xml}"));
        xml.split_at(at).1.split(to).next().unwrap()
    }

    #[test]
    fn each_threshold_is_a_case_and_a_broken_one_a_failure() {
        let mut run = outcome();
        let xml = xml(std::slice::from_ref(&run));
        let all = run.thresholds.len() + 2;
        assert!(
            xml.contains(&format!("tests=\"{all}\" failures=\"0\" errors=\"0\" skipped=\"0\"")),
            "{xml}"
        );
        let lost = run.thresholds.iter_mut().find(|judged| judged.figure.name() == "lost").unwrap();
        (lost.value, lost.kept) = (Some(33.0), false);
        run.scenario.name = String::from("a <b> & \"c\"");
        run.fail(String::from("the log has \u{1b}[31mred\u{1b}[0m"));
        let xml = super::xml(&[run.clone(), run]);
        assert_eq!(xml.matches("<testsuite ").count(), 2);
        assert!(xml.contains("failures=\"2\""), "{xml}");
        assert!(xml.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{xml}");
        let lost = part(&xml, "name=\"lost is at most 0\"", "</testcase>");
        assert!(lost.contains("<failure message=\"is 33\"/>"), "{lost}");
        assert!(!xml.contains('\u{1b}'), "{xml}");
    }

    #[test]
    fn a_void_run_is_an_error_whose_bounds_say_nothing_but_what_is_lost() {
        let mut run = outcome();
        run.void = Some(String::from("sent too late"));
        for judged in &mut run.thresholds {
            judged.kept = !["lost", "disconnects"].contains(&judged.figure.name());
        }
        let xml = xml(&[run]);
        assert!(xml.contains("<error message=\"sent too late\"/>"), "{xml}");
        assert!(part(&xml, "name=\"lost is", "</testcase>").contains("<failure"), "{xml}");
        assert!(part(&xml, "name=\"disconnects is", "</testcase>").contains("<skipped"), "{xml}");
        assert!(xml.contains("failures=\"1\" errors=\"1\""), "{xml}");
    }

    #[test]
    fn what_became_worse_is_a_failure_too() {
        let (old, mut new) = (outcome(), outcome());
        new.figures.put("ack_p99_ms", 1e6);
        new.figures.take("connect_p99_ms");
        new.comparison = Some(compare::compare(&[old], &[new.clone()], 0.15).unwrap());
        let xml = xml(&[new]);
        assert!(xml.contains("classname=\"livehelp-load.smoke.comparison\""), "{xml}");
        assert!(part(&xml, "name=\"ack_p99_ms is not worse\"", "</testcase>").contains("<failure"));
        assert!(part(&xml, "name=\"connect_p99_ms is not worse\"", "</testcase>").contains("none"));
        assert!(xml.contains("failures=\"2\""), "{xml}");
    }
}
