//! What a command line changes in a scenario: single keys, how long it takes, how much is sent.
//!
//! Lives here: how `--set`, `--duration` and `--rate` work on a file. Not here: what a right
//! scenario is (`check`).

use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use toml::{Table, Value};

use super::{Loop, Scenario};

/// Changes over a file, in the order in which they are made: keys, then length, then rate, then
/// seed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Changes {
    /// Another value of one key, as TOML: `--set mix.rooms=50`, `--set 'phase[1].arrivals=3'`,
    /// `--set 'thresholds.lost={max=2}'`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Set>,
    /// How long the measured phases take together, each its part: 90, 90s, 15m, 2h. Others stay as
    /// they are; of a search it is one try
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<Seconds>,
    /// Messages a second of the phase with the most; the others' in proportion
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Another seed than the scenario's
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// One key and its new value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Set {
    key: String,
    value: Value,
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("wants KEY=VALUE, such as mix.rooms=50")?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(String::from("wants KEY=VALUE, such as mix.rooms=50"));
        }
        // A bare word is meant as text: nobody's shell leaves the quotes of `loop="open"`.
        let read = format!("value = {value}").parse::<Table>().ok();
        let read = read.and_then(|mut table| table.remove("value"));
        let value = read.unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self { key: key.to_owned(), value })
    }
}

/// A length such as `90`, `90s`, `15m`, `2h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds(pub(crate) f64);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.find(|letter: char| letter.is_ascii_alphabetic()) {
            Some(at) => text.split_at(at),
            None => (text, "s"),
        };
        let unit = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(String::from("wants seconds, or a number with s, m or h")),
        };
        let seconds = number.parse::<f64>().map_or(0.0, |number| number * unit);
        if seconds > 0.0 && seconds.is_finite() {
            Ok(Self(seconds))
        } else {
            Err(String::from("wants a length above 0, such as 90s or 15m"))
        }
    }
}

impl Changes {
    /// Whether there are any.
    pub(crate) fn are_none(&self) -> bool {
        self.set.is_empty() && self.duration.is_none() && self.rate.is_none() && self.seed.is_none()
    }

    /// The file's scenario with all of them.
    ///
    /// # Errors
    /// If one names what there is not, has no meaning in this scenario, or makes it wrong.
    pub(super) fn over(&self, text: &str) -> Result<Scenario> {
        let mut table: Table = text.parse()?;
        for Set { key, value } in &self.set {
            let words = || format!("--set {key}={value}");
            put(&mut table, key, value.clone()).with_context(words)?;
            let _right: Scenario = table.clone().try_into().with_context(words)?;
        }
        let mut scenario = table.try_into::<Scenario>()?;
        if let Some(Seconds(seconds)) = self.duration {
            lengthen(&mut scenario, seconds)?;
        }
        if let Some(rate) = self.rate {
            quicken(&mut scenario, rate)?;
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }
}

/// Puts a value at a key such as `mix.rooms` or `phase[1].rate`. Tables come into being; entries of
/// a list do not.
fn put(table: &mut Table, key: &str, value: Value) -> Result<()> {
    let (name, rest) = key.split_once('.').unwrap_or((key, ""));
    let (name, place) = match name.split_once('[') {
        None => (name, None),
        Some((name, place)) => {
            let place = place.strip_suffix(']').and_then(|place| place.parse::<usize>().ok());
            (name, Some(place.with_context(|| format!("`{key}` names no place in a list"))?))
        }
    };
    let Some(place) = place else {
        if rest.is_empty() {
            table.insert(name.to_owned(), value);
            return Ok(());
        }
        let inner = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = inner else { bail!("`{name}` is no table") };
        return put(inner, rest, value);
    };
    let Some(Value::Array(list)) = table.get_mut(name) else { bail!("`{name}` is no list") };
    let count = list.len();
    let entry = list.get_mut(place).with_context(|| {
        format!("`{name}` has {count} entries, counted from 0, and none at {place}")
    })?;
    if rest.is_empty() {
        *entry = value;
        return Ok(());
    }
    let Value::Table(inner) = entry else { bail!("`{name}[{place}]` is no table") };
    put(inner, rest, value)
}

fn lengthen(scenario: &mut Scenario, seconds: f64) -> Result<()> {
    if scenario.pacing == Loop::Search {
        scenario.search.seconds = seconds;
        return Ok(());
    }
    let measured = scenario.phases.iter().filter(|phase| phase.measured());
    let all: f64 = measured.map(|phase| phase.seconds).sum();
    ensure!(all > 0.0, "--duration: the scenario measures nothing");
    for phase in scenario.phases.iter_mut().filter(|phase| phase.measured()) {
        phase.seconds *= seconds / all;
    }
    Ok(())
}

fn quicken(scenario: &mut Scenario, rate: f64) -> Result<()> {
    ensure!(rate > 0.0 && rate.is_finite(), "--rate: wants messages a second above 0");
    match scenario.pacing {
        Loop::Open => {}
        Loop::Closed => {
            bail!("--rate has no meaning in a closed loop: it is as fast as the answers")
        }
        Loop::Search => {
            bail!("--rate has no meaning in a search: --set search.from=… and search.to=…")
        }
    }
    let most = scenario.phases.iter().map(|phase| phase.rate).fold(0.0, f64::max);
    ensure!(
        most > 0.0,
        "--rate: no phase of this scenario has a rate of messages to change; visitors who come are \
         --set 'phase[0].arrivals=…'"
    );
    for phase in &mut scenario.phases {
        phase.rate *= rate / most;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(set: &[&str]) -> Changes {
        Changes {
            set: set.iter().map(|text| text.parse().unwrap()).collect(),
            ..Changes::default()
        }
    }

    fn found(name: &str, changes: &Changes) -> Result<Scenario, String> {
        Scenario::find(name, changes).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn keys_of_a_shipped_scenario_are_set_and_all_else_stays() {
        let set = ["mix.rooms=500", "phase[1].rate = 70", "size={kind=\"fixed\",chars=80}"];
        let changed = found("open", &changes(&set)).unwrap();
        let shipped = found("open", &Changes::default()).unwrap();
        assert_eq!((changed.mix.rooms, changed.phases[1].rate), (500, 70.0));
        assert_eq!(changed.size, super::super::Size::Fixed { chars: 80 });
        // As many agents as the rooms that there are now need.
        assert_eq!((shipped.mix.agents, changed.mix.agents), (10, 5));
        assert_eq!(changed.phases[0], shipped.phases[0]);
        let changed = found("open", &changes(&["thresholds.refused={max=2, abort=true}"])).unwrap();
        assert_eq!(changed.thresholds["refused"].limits().max, Some(2.0));
        assert_eq!(changed.thresholds.len(), shipped.thresholds.len() + 1);
    }

    #[test]
    fn a_change_that_fits_nowhere_is_named() {
        for (set, words) in [
            ("mix.roms=3", "--set mix.roms=3"),
            ("mix.rooms=many", "--set mix.rooms=\"many\""),
            ("phase[7].rate=1", "has 2 entries"),
            ("phase[x].rate=1", "no place in a list"),
            ("mix[0].rooms=1", "`mix` is no list"),
            ("name.first=1", "`name` is no table"),
            ("thresholds.delivry_p99_ms=1", "delivery_p99_ms"),
            ("phase[1].seconds=0", "phase[1].seconds"),
            ("thresholds.lost={max=2, abort=true}", "at the end alone"),
        ] {
            let told = found("open", &changes(&[set])).unwrap_err();
            assert!(told.contains(words), "{set}: {told}");
        }
        for text in ["mix.rooms", "=3", "mix.rooms="] {
            assert!(text.parse::<Set>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_that_of_what_is_measured_in_proportion() {
        let long =
            |text: &str| Changes { duration: Some(text.parse().unwrap()), ..Changes::default() };
        let phases = |name: &str, text: &str| {
            let scenario = found(name, &long(text)).unwrap();
            scenario.phases.iter().map(|phase| phase.seconds).collect::<Vec<_>>()
        };
        assert_eq!(phases("soak", "10m"), [30.0, 600.0]);
        assert_eq!(phases("smoke", "16"), [2.0, 10.0, 6.0]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("search.toml");
        std::fs::write(&file, "name = \"s\"\nloop = \"search\"\n[mix]\nrooms = 1\n").unwrap();
        let search = found(file.to_str().unwrap(), &long("90s")).unwrap();
        assert_eq!(search.search.seconds, 90.0);
        assert_eq!("2h".parse::<Seconds>(), Ok(Seconds(7_200.0)));
        for text in ["", "0", "-1", "1d", "m", "inf", "nan"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_that_of_the_busiest_phase_and_refused_where_it_means_nothing() {
        let fast = |rate| Changes { rate: Some(rate), ..Changes::default() };
        let smoke = found("smoke", &fast(30.0)).unwrap();
        let rates: Vec<_> = smoke.phases.iter().map(|phase| phase.rate).collect();
        assert_eq!(rates, [10.0, 10.0, 30.0]);
        assert_eq!(smoke.phases[2].arrivals, 4.0);
        for (name, words) in
            [("closed", "closed loop"), ("busy-day", "arrivals"), ("open", "above 0")]
        {
            let rate = if name == "open" { 0.0 } else { 5.0 };
            let told = found(name, &fast(rate)).unwrap_err();
            assert!(told.contains("--rate") && told.contains(words), "{name}: {told}");
        }
    }
}
