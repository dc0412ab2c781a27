//! Draws each dashboard as one picture, with the data of a run, so that a person can look at layout, titles, units and
//! series without a Grafana: `cargo xtask dashboards`. The first argument is the folder for the pictures, the second
//! how many seconds the load goes on.
//!
//! Lives here: what Grafana would draw, as far as the dashboards use it. Not here: server, load and Prometheus (`rig`).
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    dead_code,
    reason = "a tool for a person at their desk, in the manner of the tests that it shares its rig with"
)]

#[path = "../tests/it/rig.rs"]
mod rig;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::rig::{Rig, Series};

/// Pixels of a column and of a row of Grafana's grid on a usual screen.
const COLUMN: f64 = 66.0;
const ROW: f64 = 38.0;
/// Grafana's palette of series.
const COLOURS: [&str; 12] = [
    "#73BF69", "#F2CC0C", "#5794F2", "#FF780A", "#F2495C", "#B877D9", "#8AB8FF", "#FADE2A",
    "#C0D8FF", "#E02F44", "#37872D", "#FFA6B0",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("the folder for the pictures")?);
    let seconds = arguments.next().map_or(Ok(60), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let rig = Rig::start()?;
    rig.load(seconds)?;
    rig.strangers()?;
    for made in deploy::files().into_iter().filter(|made| made.path.ends_with(".json")) {
        let dashboard: Value = serde_json::from_str(&made.text)?;
        let name = dashboard["uid"].as_str().context("a uid")?;
        let (page, height) = page(&rig, &dashboard)?;
        let html = folder.join(format!("{name}.html"));
        std::fs::write(&html, page)?;
        let picture = folder.join(format!("{name}.png"));
        photograph(&html, &picture, height)?;
        println!("{}", picture.display());
    }
    rig.stop()
}

fn photograph(html: &Path, picture: &Path, height: f64) -> Result<()> {
    let status = Command::new("chromium-headless-shell")
        .args(["--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--log-level=3"])
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("--window-size={},{}", (COLUMN * 24.0) as u32, height as u32))
        .arg(format!("file://{}", html.canonicalize()?.display()))
        .stderr(std::process::Stdio::null())
        .status()
        .context("start chromium-headless-shell; `apt-get install chromium-headless-shell`")?;
    if !status.success() {
        bail!("the browser ended with {status}");
    }
    Ok(())
}

/// The page and its height.
fn page(rig: &Rig, dashboard: &Value) -> Result<(String, f64)> {
    let mut body = String::new();
    let mut height = 0.0_f64;
    for panel in dashboard["panels"].as_array().context("panels")? {
        let place = |side: &str| panel["gridPos"][side].as_f64().unwrap_or_default();
        let (x, y) = (place("x") * COLUMN, 44.0 + place("y") * ROW);
        let (w, h) = (place("w") * COLUMN - 8.0, place("h") * ROW - 8.0);
        height = height.max(y + h + 12.0);
        let title = escaped(panel["title"].as_str().unwrap_or_default());
        let style = format!("left:{x}px;top:{y}px;width:{w}px;height:{h}px");
        if panel["type"] == "row" {
            write!(body, "<h2 style='{style}'>⌄ {title}</h2>")?;
            continue;
        }
        let found = answers(rig, panel)?;
        let drawn = if panel["type"] == "stat" {
            figure(panel, &found, h)
        } else {
            lines(panel, &found, w, h)
        };
        write!(body, "<section style='{style}'><h3>{title} <i>i</i></h3>{drawn}</section>")?;
    }
    let title = escaped(dashboard["title"].as_str().unwrap_or_default());
    let page = format!(
        "<!doctype html><meta charset=utf-8><style>body{{margin:0;background:#111217;color:#ccccdc;font:13px DejaVu Sans}}\
         h1{{font-size:18px;margin:10px 8px}}h2{{position:absolute;margin:0;padding:4px 6px;font-size:15px}}\
         section{{position:absolute;background:#181b1f;border:1px solid #2c3235;border-radius:3px;overflow:hidden;margin:0 4px}}\
         h3{{font-size:12.5px;font-weight:500;margin:6px 8px 0}}i{{color:#6e7687;font-size:10px}}\
         svg text{{font:10.5px DejaVu Sans;fill:#9fa7b3}}.v{{display:flex;height:calc(100% - 24px);align-items:center;\
         justify-content:space-evenly;text-align:center;flex-wrap:wrap}}.v small{{display:block;color:#ccccdc;font-size:11px}}\
         .l{{position:absolute;bottom:3px;left:8px;right:8px;height:30px;overflow:hidden;font-size:10.5px;line-height:15px}}\
         .l b{{display:inline-block;width:12px;height:3px;margin:0 4px 3px 8px}}</style><h1>{title}</h1>{body}"
    );
    Ok((page, height))
}

/// What a panel's queries came to, with the name of each series.
fn answers(rig: &Rig, panel: &Value) -> Result<Vec<(String, Series)>> {
    let mut found = Vec::new();
    for target in panel["targets"].as_array().context("targets")? {
        let expr = target["expr"].as_str().unwrap_or_default();
        let expr =
            expr.replace("$__rate_interval", "5s").replace("$job", ".+").replace("$instance", ".*");
        for series in rig.range(&expr, 1.0)? {
            let mut legend = target["legendFormat"].as_str().unwrap_or_default().to_owned();
            for (label, value) in series.labels.as_object().into_iter().flatten() {
                legend =
                    legend.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default());
            }
            found.push((legend, series));
        }
    }
    Ok(found)
}

fn figure(panel: &Value, found: &[(String, Series)], height: f64) -> String {
    let defaults = &panel["fieldConfig"]["defaults"];
    let unit = defaults["unit"].as_str().unwrap_or_default();
    let by_name = panel["options"]["textMode"] == "name";
    let mut text = String::from("<div class=v>");
    if found.is_empty() {
        text.push_str("<em>No data</em>");
    }
    for (legend, series) in found {
        let value = series.points.last().map_or(f64::NAN, |(_, value)| *value);
        let steps =
            defaults["thresholds"]["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let step =
            steps.iter().rev().find(|step| step["value"].as_f64().is_none_or(|from| value >= from));
        let colour = match step.and_then(|step| step["color"].as_str()) {
            Some("red") => "#F2495C",
            Some("orange") => "#FF9830",
            _ => "#73BF69",
        };
        let word = defaults["mappings"][0]["options"][format!("{value}")]["text"].as_str();
        let shown = if by_name {
            legend.clone()
        } else {
            word.map_or_else(|| scaled(value, unit), str::to_owned)
        };
        let size = (height * 0.3).min(30.0) * if by_name || found.len() > 3 { 0.6 } else { 1.0 };
        let name = if found.len() > 1 && !by_name {
            format!("<small>{}</small>", escaped(legend))
        } else {
            String::new()
        };
        let _written = write!(
            text,
            "<div style='color:{colour};font-size:{size}px'>{name}{}</div>",
            escaped(&shown)
        );
    }
    text + "</div>"
}

fn lines(panel: &Value, found: &[(String, Series)], width: f64, height: f64) -> String {
    let defaults = &panel["fieldConfig"]["defaults"];
    let unit = defaults["unit"].as_str().unwrap_or_default();
    let stacked = defaults["custom"]["stacking"]["mode"] == "normal";
    let (left, right, top, bottom) = (62.0, 10.0, 8.0, 52.0);
    let (w, h) = (width - left - right, height - 26.0 - top - bottom);
    let points = || {
        found
            .iter()
            .flat_map(|(_, series)| series.points.iter().filter(|point| point.1.is_finite()))
    };
    let (from, until) = points()
        .fold((f64::MAX, f64::MIN), |(from, until), point| (from.min(point.0), until.max(point.0)));
    let mut svg = format!("<svg width={width} height={}>", height - 26.0);
    if points().next().is_none() {
        let word = if found.is_empty() { "No data" } else { "no value yet" };
        let _written = write!(svg, "<text x={} y={}>{word}</text>", width / 2.0 - 30.0, h / 2.0);
    }
    let mut base: std::collections::BTreeMap<u64, f64> = std::collections::BTreeMap::new();
    let mut layers: Vec<Vec<(f64, f64, f64)>> = Vec::new();
    let mut most = defaults["max"].as_f64().unwrap_or(0.0);
    for (_, series) in found {
        let mut layer = Vec::new();
        for (at, value) in series.points.iter().filter(|point| point.1.is_finite()) {
            let under = if stacked { base.get(&(*at as u64)).copied().unwrap_or(0.0) } else { 0.0 };
            base.insert(*at as u64, under + value);
            layer.push((*at, under, under + value));
            most = most.max(under + value);
        }
        layers.push(layer);
    }
    let most =
        if most > 0.0 { most * if defaults["max"].is_null() { 1.08 } else { 1.0 } } else { 1.0 };
    let x = |at: f64| left + (at - from) / (until - from).max(1.0) * w;
    let y = |value: f64| top + h - (value.max(0.0) / most).min(1.0) * h;
    for tick in 0..=4 {
        let value = most * f64::from(tick) / 4.0;
        let _written = write!(
            svg,
            "<line x1={left} x2={} y1={1} y2={1} stroke=#2c3235 /><text x={2} y={3} text-anchor=end>{4}</text>",
            left + w,
            y(value),
            left - 6.0,
            y(value) + 4.0,
            scaled(value, unit)
        );
    }
    for step in defaults["thresholds"]["steps"].as_array().into_iter().flatten() {
        let Some(mark) = step["value"].as_f64().filter(|mark| *mark <= most) else { continue };
        let colour = if step["color"] == "red" { "#F2495C" } else { "#FF9830" };
        let _written = write!(
            svg,
            "<line x1={left} x2={} y1={1} y2={1} stroke='{colour}' stroke-dasharray='6 4' />",
            left + w,
            y(mark)
        );
    }
    for (at, layer) in layers.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let line: Vec<String> = layer
            .iter()
            .map(|(time, _, value)| format!("{:.1},{:.1}", x(*time), y(*value)))
            .collect();
        let under: Vec<String> = layer
            .iter()
            .rev()
            .map(|(time, under, _)| format!("{:.1},{:.1}", x(*time), y(*under)))
            .collect();
        let opacity = if stacked { 0.3 } else { 0.06 };
        let _written = write!(
            svg,
            "<polygon points='{0} {1}' fill='{colour}' opacity={opacity} /><polyline points='{0}' fill=none stroke='{colour}' />",
            line.join(" "),
            under.join(" ")
        );
    }
    if from < until {
        for part in 0..=4 {
            let at = from + (until - from) * f64::from(part) / 4.0;
            let _written = write!(
                svg,
                "<text x={} y={} text-anchor=middle>+{:.0} s</text>",
                x(at).clamp(left, left + w - 12.0),
                top + h + 14.0,
                at - from
            );
        }
    }
    svg.push_str("</svg><div class=l>");
    for (at, (legend, _)) in found.iter().enumerate() {
        let _written = write!(
            svg,
            "<b style='background:{}'></b>{}",
            COLOURS[at % COLOURS.len()],
            escaped(legend)
        );
    }
    svg + "</div>"
}

/// A value in its unit, as Grafana would word it.
fn scaled(value: f64, unit: &str) -> String {
    let steps: &[(f64, &str)] = match unit {
        "s" => &[
            (604_800.0, " weeks"),
            (86_400.0, " days"),
            (3600.0, " hours"),
            (60.0, " mins"),
            (1.0, " s"),
            (1e-3, " ms"),
            (1e-6, " µs"),
        ],
        "bytes" => {
            &[(1_073_741_824.0, " GiB"), (1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")]
        }
        "percentunit" => return format!("{}%", short(value * 100.0)),
        "cps" => &[(1e6, "M c/s"), (1e3, "K c/s"), (1.0, " c/s")],
        _ => &[(1e9, " Bil"), (1e6, " Mil"), (1e3, " K"), (1.0, "")],
    };
    if !value.is_finite() {
        return "NaN".to_owned();
    }
    let (factor, word) = steps
        .iter()
        .find(|(factor, _)| value.abs() >= *factor)
        .or(steps.last())
        .copied()
        .unwrap_or((1.0, ""));
    let (factor, word) =
        if value == 0.0 { (1.0, if unit == "s" { " s" } else { word }) } else { (factor, word) };
    format!("{}{word}", short(value / factor))
}

fn short(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value.fract() == 0.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
