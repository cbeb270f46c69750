//! Bars as an SVG that can be read in light and in dark.

use std::fmt::Write as _;

/// Bars of one unit under a title.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) bars: Vec<Bar>,
}

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
}

const WIDTH: f64 = 760.0;
const LABELS: f64 = 220.0;
const FIGURES: f64 = 110.0;
const LINE: f64 = 24.0;
/// Beyond this the smallest bar of a linear scale could not be distinguished from nothing.
const LINEAR: f64 = 40.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.head{font-size:16px;font-weight:600}\
    .bar{fill:#2f6fb3}.ground{fill:#ffffff}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6cb0f5}.ground{fill:#0d1117}}";

/// Returns a whole picture.
pub(crate) fn svg(head: &str, charts: &[Chart]) -> String {
    let lines: usize = charts.iter().map(|chart| chart.bars.len() + 2).sum();
    let height = LINE * (lines as f64 + 2.0);
    let head = escaped(head);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{head}">
<style>{STYLE}</style>
<rect class="ground" width="100%" height="100%"/>
<text class="head" x="16" y="{LINE}">{head}</text>
"#
    );

    let mut y = LINE * 2.0;
    for chart in charts {
        let scale = Scale::of(&chart.bars);
        let note = if matches!(scale, Scale::Logarithmic { .. }) { ", logarithmic scale" } else { "" };
        let (title, unit) = (escaped(&chart.title), escaped(chart.unit));
        _ = writeln!(svg, r#"<text class="title" x="16" y="{:.0}">{title} ({unit}{note})</text>"#, y + 16.0);
        y += LINE;

        for bar in &chart.bars {
            let width = (WIDTH - LABELS - FIGURES) * scale.part(bar.value).max(0.002);
            let (label, value) = (escaped(&bar.label), figure(bar.value));
            _ = writeln!(svg, r#"<text x="32" y="{:.0}">{label}</text>"#, y + 16.0);
            _ = writeln!(
                svg,
                r#"<rect class="bar" x="{LABELS}" y="{:.0}" width="{width:.1}" height="16" rx="2"/>"#,
                y + 3.0
            );
            _ = writeln!(svg, r#"<text x="{:.1}" y="{:.0}">{value} {unit}</text>"#, LABELS + width + 8.0, y + 16.0);
            y += LINE;
        }
        y += LINE;
    }

    svg.push_str("</svg>\n");
    svg
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Linear { most: f64 },
    Logarithmic { origin: f64, most: f64 },
}

impl Scale {
    fn of(bars: &[Bar]) -> Self {
        let values = || bars.iter().map(|bar| bar.value).filter(|value| *value > 0.0);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        match most / least > LINEAR {
            true => Self::Logarithmic { origin: least / 2.0, most },
            false => Self::Linear { most },
        }
    }

    /// Returns how much of the whole width a value has.
    fn part(self, value: f64) -> f64 {
        let part = match self {
            Self::Linear { most } => value / most,
            Self::Logarithmic { origin, most } => (value / origin).ln() / (most / origin).ln(),
        };
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Formats a number with three digits that matter, and blanks between thousands.
fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let bars = values.iter().map(|value| Bar { label: format!("<a> & \"{value}\""), value: *value }).collect();
        Chart { title: "Times < 1 & more".to_owned(), unit: "rows/s", bars }
    }

    /// Checks that each tag is closed in turn, each attribute is quoted, and nothing else has a meaning in XML.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;

        while let Some((text, tagged)) = rest.split_once('<') {
            assert!(!text.contains('>'), "{text}");
            for entity in text.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)), "{entity}");
            }

            let (tag, after) = tagged.split_once('>').unwrap();
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            let name = tag.trim_matches('/').split(' ').next().unwrap();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, false) => open.push(name),
                (false, true) => {}
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    }

    #[test]
    fn the_picture_is_well_formed_whatever_the_labels_and_values_are() {
        for values in [&[][..], &[0.0], &[1.5, 900.0, 250_000.0], &[3.0, 4.0], &[f64::NAN, f64::INFINITY, 1.0]] {
            let svg = svg("A & B", &[chart(values), chart(&[1.0])]);
            assert_well_formed(&svg);
            assert!(!svg.contains("width=\"NaN") && !svg.contains("width=\"inf"), "{svg}");
        }
    }

    #[test]
    fn the_largest_bar_has_the_whole_width_and_each_value_is_told() {
        let svg = svg("x", &[chart(&[1.5, 250_000.0])]);
        assert!(svg.contains("logarithmic scale") && svg.contains("width=\"430.0\""), "{svg}");
        assert!(svg.contains("1.5 rows/s") && svg.contains("250\u{a0}000 rows/s"), "{svg}");
        assert!(!super::svg("x", &[chart(&[10.0, 20.0])]).contains("logarithmic"));
    }
}
