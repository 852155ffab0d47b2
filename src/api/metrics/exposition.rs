//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

use crate::store::HistogramSnapshot;

/// Ends the help of what is not of one daemon alone: it must not be added up over several.
const OF_STORE: &str = "Of the whole store, also if several daemons share it.";

/// The text so far.
#[derive(Default)]
pub(super) struct Exposition(String);

/// A metric whose samples are written next.
pub(super) struct Metric<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric whose value goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "gauge", help)
    }

    /// Begins a metric that is read from the store, so that every daemon that shares it has the same.
    pub(super) fn gauge_of_store(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.gauge(name, &format!("{help} {OF_STORE}"))
    }

    /// Begins a metric whose value only goes up.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "counter", help)
    }

    /// Writes a whole histogram: how many things took how long, in seconds, or how many there were.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, snapshot: &HistogramSnapshot) {
        self.histograms(name, help).of(&[], snapshot);
    }

    /// Begins a metric that is a histogram for each of its labels.
    pub(super) fn histograms(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "histogram", help)
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        write_line(&mut self.0, format_args!("# HELP {name} {help}"));
        write_line(&mut self.0, format_args!("# TYPE {name} {kind}"));
        Metric { text: &mut self.0, name }
    }
}

impl Metric<'_> {
    /// Writes a sample without labels.
    pub(super) fn plain(&mut self, value: f64) {
        write_line(self.text, format_args!("{} {value}", self.name));
    }

    /// Writes a sample with labels.
    pub(super) fn with(&mut self, labels: &[(&str, &str)], value: f64) {
        let (name, labels) = (self.name, written(labels));
        write_line(self.text, format_args!("{name}{{{labels}}} {value}"));
    }

    /// Writes the histogram of these labels.
    pub(super) fn of(&mut self, labels: &[(&str, &str)], snapshot: &HistogramSnapshot) {
        let (name, labels, count, sum) = (self.name, written(labels), snapshot.count, snapshot.sum);
        let (before, braced) = match labels.as_str() {
            "" => (String::new(), String::new()),
            labels => (format!("{labels},"), format!("{{{labels}}}")),
        };
        for (bound, count) in &snapshot.buckets {
            write_line(self.text, format_args!("{name}_bucket{{{before}le=\"{bound}\"}} {count}"));
        }
        write_line(self.text, format_args!("{name}_bucket{{{before}le=\"+Inf\"}} {count}"));
        write_line(self.text, format_args!("{name}_sum{braced} {sum}"));
        write_line(self.text, format_args!("{name}_count{braced} {count}"));
    }
}

fn written(labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
    labels.join(",")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
