//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use crate::store::HistogramSnapshot;

/// A text in the making.
#[derive(Default)]
pub(super) struct Exposition(String);

/// A metric whose samples come next.
pub(super) struct Metric<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Something that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "gauge", help)
    }

    /// Something that only goes up.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "counter", help)
    }

    /// How many took how long.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, snapshot: &HistogramSnapshot) {
        let metric = self.metric(name, "histogram", help);
        for (bound, count) in &snapshot.buckets {
            line(metric.text, format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"));
        }
        line(metric.text, format_args!("{name}_bucket{{le=\"+Inf\"}} {}", snapshot.count));
        line(metric.text, format_args!("{name}_sum {}", snapshot.sum));
        line(metric.text, format_args!("{name}_count {}", snapshot.count));
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        line(&mut self.0, format_args!("# TYPE {name} {kind}"));
        Metric { text: &mut self.0, name }
    }
}

impl Metric<'_> {
    /// Its only sample.
    pub(super) fn plain(&mut self, value: f64) {
        line(self.text, format_args!("{} {value}", self.name));
    }

    /// One of its samples.
    pub(super) fn with(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        line(self.text, format_args!("{}{{{}}} {value}", self.name, labels.join(",")));
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
