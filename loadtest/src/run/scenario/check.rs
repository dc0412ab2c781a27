//! What is wrong with a scenario, in words that name the key and its line.

use anyhow::{Result, bail};

use super::{CAPACITY_MAX, Loop, Scenario, Size, Span};
use crate::judge::figure::Figure;
use crate::judge::guard::Guard;
use crate::number::float;
use crate::people::stamp::STAMP_CHARS;

/// Characters of a message that every server takes.
const CHARS_MAX: u32 = 4_000;

/// Says the first thing that is wrong.
pub(super) fn check(scenario: &Scenario, text: &str) -> Result<()> {
    let complaint = people(scenario)
        .or_else(|| phases(scenario))
        .or_else(|| sizes(scenario))
        .or_else(|| habits(scenario))
        .or_else(|| figures(scenario))
        .or_else(|| aim(scenario));
    let Some((key, words)) = complaint else { return Ok(()) };
    match line(text, &key) {
        Some(line) => bail!("line {line}: `{key}` {words}"),
        None => bail!("`{key}` {words}"),
    }
}

type Complaint = Option<(String, String)>;

fn wrong(key: impl Into<String>, words: impl Into<String>) -> Complaint {
    Some((key.into(), words.into()))
}

fn people(scenario: &Scenario) -> Complaint {
    let mix = &scenario.mix;
    if scenario.name.is_empty() {
        return wrong("name", "is missing");
    }
    if scenario.agent.capacity == 0 || scenario.agent.capacity > CAPACITY_MAX {
        return wrong("agent.capacity", format!("is not between 1 and {CAPACITY_MAX}"));
    }
    let rooms = mix.rooms + mix.reconnectors;
    let places = mix.agents.saturating_mul(u32::from(scenario.agent.capacity));
    if places < rooms {
        return wrong(
            "mix.agents",
            format!(
                "have room for {places} conversations of the {rooms}; leave it out for as many as are needed"
            ),
        );
    }
    let watched = mix.watchers + mix.slow_readers + mix.bots;
    if watched > 0 && rooms == 0 {
        return wrong("mix.rooms", "is 0, but there are those who watch a room or write into one");
    }
    let visits = scenario.phases.iter().any(|phase| phase.arrivals > 0.0);
    if visits && mix.agents == 0 {
        return wrong("mix.agents", "is 0, but visitors come for whom nobody is there");
    }
    if !visits && scenario.sockets() == 0 {
        return wrong("mix", "has nobody in it");
    }
    None
}

fn phases(scenario: &Scenario) -> Complaint {
    if scenario.pacing == Loop::Search {
        let search = &scenario.search;
        let right = search.from > 0.0 && search.to >= search.from && search.seconds > 0.0;
        if !right || !(0.001..1.0).contains(&search.precision) {
            return wrong(
                "search",
                "wants 0 < from <= to, seconds > 0, and a precision from 0.001 to 1",
            );
        }
        if scenario.mix.rooms == 0 {
            return wrong("mix.rooms", "is 0: a search needs rooms to speak in");
        }
        return if scenario.phases.is_empty() {
            None
        } else {
            wrong("phase", "has no place in a search: it makes its own")
        };
    }
    if scenario.phases.is_empty() {
        return wrong("phase", "is missing: at least one [[phase]] with `seconds`");
    }
    for (index, phase) in scenario.phases.iter().enumerate() {
        let key = |name: &str| format!("phase[{index}].{name}");
        if !(phase.seconds > 0.0 && phase.seconds <= 1_000_000.0) {
            return wrong(key("seconds"), "is not a length above 0");
        }
        for (name, rate) in [("rate", phase.rate), ("arrivals", phase.arrivals)] {
            if !(0.0..=10_000_000.0).contains(&rate) {
                return wrong(key(name), "is not a number a second from 0 up");
            }
        }
        if phase.rate > 0.0 && scenario.pacing == Loop::Closed {
            return wrong(
                key("rate"),
                "has no meaning in a closed loop: it is as fast as the answers come",
            );
        }
        if phase.rate > 0.0 && scenario.mix.rooms + scenario.mix.reconnectors == 0 {
            return wrong(key("rate"), "needs rooms to speak in");
        }
    }
    let silent = scenario.phases.iter().all(|phase| phase.rate <= 0.0);
    if scenario.pacing == Loop::Open && scenario.mix.rooms > 0 && silent {
        return wrong(
            "phase[0].rate",
            "is missing: in an open loop it says how many messages a second",
        );
    }
    if scenario.phases.iter().all(|phase| !phase.measured()) {
        let words =
            "is false for all phases (a ramp's is, unless it says true): nothing would be measured";
        return wrong("phase[0].measure", words);
    }
    None
}

fn sizes(scenario: &Scenario) -> Complaint {
    let least = u32::try_from(STAMP_CHARS).unwrap_or(u32::MAX);
    let right = |chars: u32| (least..=CHARS_MAX).contains(&chars);
    let middle = |chars: f64| (f64::from(least)..=f64::from(CHARS_MAX)).contains(&chars);
    let spread = |by: f64| by.is_finite() && by >= 0.0;
    let words =
        format!("is not between {least} (what proves a message) and {CHARS_MAX} characters");
    match scenario.size {
        Size::Fixed { chars } if !right(chars) => wrong("size.chars", words),
        Size::Uniform { min, max } if !right(min) || !right(max) || min > max => {
            wrong("size.min", words)
        }
        // Its middle must be right; what falls short of the stamp is lifted to it.
        Size::Normal { mean, .. } if !middle(mean) => wrong("size.mean", words),
        Size::LogNormal { median, .. } if !middle(median) => wrong("size.median", words),
        Size::Normal { deviation, .. } if !spread(deviation) => {
            wrong("size.deviation", "is not a number from 0 up")
        }
        Size::LogNormal { sigma, .. } if !spread(sigma) => {
            wrong("size.sigma", "is not a number from 0 up")
        }
        Size::Fixed { .. }
        | Size::Uniform { .. }
        | Size::Normal { .. }
        | Size::LogNormal { .. } => None,
    }
}

fn habits(scenario: &Scenario) -> Complaint {
    let spans = [
        ("visit.think_ms", scenario.visit.think_ms),
        ("agent.think_ms", scenario.agent.think_ms),
        ("reconnect.away_ms", scenario.reconnect.away_ms),
    ];
    for (key, Span([min, max])) in spans {
        if min > max {
            return wrong(key, "has its most before its least: [least, most]");
        }
    }
    let [least, most] = scenario.visit.messages;
    if least == 0 || least > most {
        return wrong("visit.messages", "wants [least, most], from 1 up");
    }
    let habits = &scenario.habits;
    for (key, ms) in [
        ("habits.slow_read_ms", habits.slow_read_ms),
        ("habits.malformed_ms", habits.malformed_ms),
        ("habits.bot_ms", habits.bot_ms),
        ("reconnect.every_ms", scenario.reconnect.every_ms),
    ] {
        if ms == 0 {
            return wrong(key, "is 0");
        }
    }
    None
}

/// A search compares each try with its aim, so that an aim that no try has would be kept by none.
fn aim(scenario: &Scenario) -> Complaint {
    if scenario.pacing != Loop::Search {
        return None;
    }
    if scenario.search.aim.is_empty() {
        return wrong("search.aim", "is empty: every rate would keep it");
    }
    let every_s = float(scenario.reconnect.every_ms) / 1_000.0;
    let cut = scenario.mix.reconnectors > 0 && every_s <= scenario.search.seconds;
    let (name, _) = scenario.search.aims().find(|(figure, _)| !figure.is_of_a_try(cut))?;
    let words = "is a figure of the whole run, or of what does not happen here: no single try has it; \
         times of messages, counts, rates and CPU can be aims";
    wrong(format!("search.aim.{name}"), words)
}

fn figures(scenario: &Scenario) -> Complaint {
    let names = scenario.thresholds.keys().map(|name| ("thresholds", name));
    for (table, name) in names.chain(scenario.search.aim.keys().map(|name| ("search.aim", name))) {
        if let Err(error) = name.parse::<Figure>() {
            return wrong(format!("{table}.{name}"), error.to_string());
        }
    }
    for (name, limits) in scenario.bounds() {
        if limits.min.is_none() && limits.max.is_none() {
            return wrong(format!("thresholds.{name}"), "has neither `min` nor `max`");
        }
        if limits.abort && scenario.pacing == Loop::Search {
            return wrong(
                format!("thresholds.{name}"),
                "has no `abort` in a search, whose tries are meant to break",
            );
        }
        if limits.abort && !Guard::sees(name, limits) {
            return wrong(
                format!("thresholds.{name}"),
                "is known at the end alone, so that nothing can abort for it",
            );
        }
    }
    None
}

/// The line of a key such as `mix.rooms` or `phase[1].rate`; of its table where the key itself is
/// not there.
fn line(text: &str, key: &str) -> Option<usize> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let (header, nth) = match table.split_once('[') {
        Some((array, index)) => (format!("[[{array}]]"), index.trim_end_matches(']').parse().ok()?),
        None => (format!("[{table}]"), 0_usize),
    };
    let mut lines = text.lines().enumerate();
    let mut found = None;
    if !table.is_empty() {
        let (at, _) = lines.by_ref().filter(|(_, line)| line.trim() == header).nth(nth)?;
        found = Some(at + 1);
    }
    for (at, line) in lines {
        let line = line.trim();
        if line.starts_with('[') {
            break;
        }
        if line.split_once('=').is_some_and(|(left, _)| left.trim().trim_matches('"') == name) {
            return Some(at + 1);
        }
    }
    found
}
