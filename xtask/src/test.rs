//! `cargo xtask test`: everything that has to be green before a change lands.
//!
//! Lives here: which steps, in which order (the fast ones first), and how they are told. Not here:
//! the checks of the source tree (`tidy`), installing (`machine`, `front`). Called by people and by
//! `.ci/run`. A step that fails ends the run with its name and its whole output.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::dependencies::{self, SCHEMATHESIS, TOOLS, Tools};
use crate::front::{BROWSER_TESTS, FRONTS, Front};
use crate::machine::{Need, provide};
use crate::shell::{command, present, root, run_logged, target_folder};
use crate::{budgets, r#gen, tidy};

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What lands has passed this.
    Everything,
    /// Without browsers and budgets, and without the tests in modules named `slow`.
    Quick,
}

/// Runs all steps; the first that fails ends it.
///
/// # Errors
/// When a step fails. Its output has been printed.
pub(crate) fn run(extent: Extent) -> Result<()> {
    let whole = extent == Extent::Everything;
    let fronts: Vec<Front> = FRONTS.into_iter().filter_map(Front::find).collect();
    let browser = Front::find(BROWSER_TESTS).filter(|_| whole);

    let mut needs = vec![Need::Redis, Need::Postgres, Need::Prometheus, Need::Fronts, Need::Units];
    if whole {
        needs.extend([Need::Valgrind, Need::Python]);
    }
    if !fronts.is_empty() || browser.is_some() {
        needs.push(Need::Node);
        needs.extend(whole.then_some(Need::Browser));
    }
    provide(&needs)?;

    let steps = Steps::begin()?;
    for front in fronts.iter().chain(&browser) {
        if let Some(install) = front.install()? {
            steps.run(&format!("{}: install", front.name), install)?;
            front.installed()?;
        }
    }
    steps.run("format", cargo(&["fmt", "--all", "--check"]))?;
    Steps::check("tidy", tidy::run)?;
    Steps::check("generated files", || r#gen::run(true))?;
    if whole {
        steps.dependencies()?;
    }
    if let Some(browser) = &browser {
        let npm = command(&browser.folder, &["npm", "run", "--silent", "spectral"]);
        steps.run("contract: Spectral", npm)?;
    }
    for front in &fronts {
        for script in ["check", "lint", "test"] {
            if front.has_script(script) {
                let mut npm = command(&front.folder, &["npm", "run", "--silent", script]);
                if script == "test" && !whole {
                    npm.args(["--", "-browser"]);
                }
                steps.run(&format!("{}: {script}", front.name), npm)?;
            }
        }
        if let Some(build) = front.build()? {
            steps.run(&format!("{}: build", front.name), build)?;
            front.built()?;
        }
    }
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    steps.run("lints", cargo(&lints))?;
    if whole {
        let words = ["doc", "--no-deps", "--workspace", "--document-private-items", "--quiet"];
        let mut doc = cargo(&words);
        // The texts of settings are for the terminal first, where an address in angle brackets
        // would be odd.
        doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::bare_urls");
        steps.run("documentation", doc)?;
    }
    steps.run("tests", rust_tests(extent))?;
    steps.run("documentation's examples", cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    if whole {
        steps.run("build for the budgets", budgets::build())?;
        steps.run("budgets", budgets::count())?;
    }
    if let Some(browser) = browser {
        on_a_server(&steps, &browser)?;
    }
    steps.end();
    Ok(())
}

/// What is tried on a server that runs: its contract, and what a person sees of it.
fn on_a_server(steps: &Steps, browser: &Front) -> Result<()> {
    steps.run("server for the browser tests", cargo(&["build", "--quiet", "-p", "livehelp"]))?;
    let server = target_folder()?.join("debug/livehelp");
    let mut npm = command(&browser.folder, &["npm", "run", "--silent", "schemathesis"]);
    npm.env("E2E_SERVER", &server);
    npm.env("SCHEMATHESIS", steps.tools(SCHEMATHESIS)?.program("schemathesis"));
    steps.run("contract: Schemathesis", npm)?;
    let mut npm = command(&browser.folder, &["npm", "run", "--silent", "test"]);
    npm.env("E2E_SERVER", server);
    steps.run("browser tests", npm)
}

fn cargo(words: &[&str]) -> Command {
    let mut cargo = command(&root(), &[&["cargo"], words].concat());
    cargo.env("CARGO_TERM_COLOR", "never");
    cargo
}

fn rust_tests(extent: Extent) -> Command {
    match (present("cargo-nextest"), extent) {
        (true, Extent::Everything) => cargo(&["nextest", "run", "--workspace"]),
        (true, Extent::Quick) => cargo(&["nextest", "run", "--workspace", "--profile", "quick"]),
        (false, Extent::Everything) => cargo(&["test", "--workspace", "--all-targets"]),
        (false, Extent::Quick) => {
            cargo(&["test", "--workspace", "--all-targets", "--", "--skip", "slow::"])
        }
    }
}

/// The run so far: says what each step came to.
struct Steps {
    logs: PathBuf,
    begun: Instant,
}

impl Steps {
    fn begin() -> Result<Self> {
        let logs = target_folder()?.join("xtask");
        fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        Ok(Self { logs, begun: now() })
    }

    fn run(&self, name: &str, command: Command) -> Result<()> {
        let log = self.logs.join(format!("{}.log", name.replace([' ', ':', '\'', '/'], "-")));
        let begun = now();
        let outcome = run_logged(command, &log);
        let output = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        if let Err(error) = outcome {
            println!("{output}");
            bail!("the step `{name}` failed: {error:#}");
        }
        println!("{name}: ok ({:.1} s)", begun.elapsed().as_secs_f64());
        for line in closing_lines(&output) {
            println!("    {line}");
        }
        Ok(())
    }

    fn tools(&self, name: &str) -> Result<Tools> {
        let tools = Tools::find(name)?;
        if let Some(install) = tools.install()? {
            self.run(&format!("{name}: install"), install)?;
            tools.installed()?;
        }
        Ok(tools)
    }

    fn dependencies(&self) -> Result<()> {
        let tools = self.tools(TOOLS)?;
        self.run("dependencies", tools.deny())?;
        self.run("unused dependencies", tools.shear())?;
        let log = self.logs.join("advisories.log");
        let begun = now();
        if run_logged(tools.advisories(), &log).is_err() {
            let output = fs::read_to_string(&log).unwrap_or_default();
            if !dependencies::unreached(&output) {
                println!("{output}");
                bail!("the step `advisories` failed");
            }
            println!("advisories: NOT CHECKED, their database cannot be reached from here");
            return Ok(());
        }
        println!("advisories: ok ({:.1} s)", begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn check(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let begun = now();
        check().with_context(|| format!("the step `{name}` failed"))?;
        println!("{name}: ok ({:.1} s)", begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn end(self) {
        println!("all green after {:.0} s", self.begun.elapsed().as_secs_f64());
    }
}

#[expect(clippy::disallowed_methods, reason = "a person wants to know how long a step took")]
fn now() -> Instant {
    Instant::now()
}

/// What a test runner said at its end: summaries as they are (nextest's, Spectral's, a test's own),
/// the others' counts added up.
fn closing_lines(output: &str) -> Vec<String> {
    let mut lines: Vec<String> = output
        .lines()
        .map(|line| line.trim().trim_start_matches(['#', 'ℹ', ' ']))
        .filter(|line| line.starts_with("Summary [") || line.starts_with("No results with a"))
        .map(str::to_owned)
        .collect();
    let (mut passed, mut failed, mut counted) = (0, 0, false);
    for line in output.lines().map(str::trim) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            counted = true;
            passed += count_before(counts, " passed");
            failed += count_before(counts, " failed");
        } else if let Some(counts) = line.strip_prefix(['#', 'ℹ']) {
            let mut words = counts.split_whitespace();
            let label = words.next();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (label, number, words.next()) {
                (Some("pass"), Some(number), None) => (passed, counted) = (passed + number, true),
                (Some("fail"), Some(number), None) => (failed, counted) = (failed + number, true),
                _ => {}
            }
        }
    }
    if counted {
        lines.push(format!("{passed} passed, {failed} failed"));
    }
    lines
}

/// The number that stands right before `label`, 0 when there is none.
fn count_before(text: &str, label: &str) -> u64 {
    text.split_once(label)
        .and_then(|(before, _)| before.split_whitespace().last())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::closing_lines;

    #[test]
    fn the_closing_lines_of_every_runner_are_told() {
        let nextest = "  PASS x\n     Summary [   0.1s] 3 tests run: 3 passed, 0 skipped\n";
        assert_eq!(closing_lines(nextest), ["Summary [   0.1s] 3 tests run: 3 passed, 0 skipped"]);
        let cargo = "test result: ok. 2 passed; 0 failed; 0 ignored\n\
                     test result: FAILED. 1 passed; 3 failed; 0 ignored\n";
        assert_eq!(closing_lines(cargo), ["3 passed, 3 failed"]);
        assert_eq!(closing_lines("# tests 5\n# pass 5\n# fail 0\n"), ["5 passed, 0 failed"]);
        assert_eq!(closing_lines("ℹ pass 4\nℹ fail 1\n"), ["4 passed, 1 failed"]);
        let own = closing_lines("# Summary [public] 9 generated\n# pass 2\n");
        assert_eq!(own, ["Summary [public] 9 generated", "2 passed, 0 failed"]);
        let spectral = "No results with a severity of 'hint' or higher found!";
        assert_eq!(closing_lines(spectral), [spectral]);
        assert!(closing_lines("nothing was run").is_empty());
    }
}
