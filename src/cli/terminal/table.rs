//! Tables that fit the terminal: when a line would be too long, less important columns are left out, then one column
//! is cut.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, Width};
use jiff::tz::TimeZone;

use crate::present::times;

/// Spaces between two columns.
const GAP: usize = 2;
/// The elastic column is useless if it is narrower than this.
const ELASTIC_MIN: usize = 12;
/// No column is made narrower than this, even on a very narrow terminal.
const COLUMN_MIN: usize = 4;

/// The rows of a table and how it may shrink.
pub(in crate::cli) struct Rows {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    zone: Option<(&'static str, String)>,
    elastic: &'static str,
    dispensable: &'static [&'static str],
}

/// The widths of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Layout {
    /// The width of each column without the gap; `None` if the column is left out.
    widths: Vec<Option<usize>>,
}

impl Rows {
    /// Makes an empty table. When a line is too long, the `dispensable` columns are left out one after the other, then
    /// `elastic` is cut.
    pub(in crate::cli) fn new(
        header: &[&'static str],
        elastic: &'static str,
        dispensable: &'static [&'static str],
    ) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), zone: None, elastic, dispensable }
    }

    /// Names the zone of a column's times in its header.
    pub(in crate::cli) fn in_zone(mut self, column: &'static str, zone: &TimeZone) -> Self {
        self.zone = Some((column, times::zone_name(zone)));
        self
    }

    /// Adds a row, which must have as many cells as there are columns.
    pub(in crate::cli) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// Returns the lines, at most `width` wide. Below another table there is no header, and the columns do not move.
    pub(in crate::cli) fn arrange(
        self,
        width: usize,
        above: &mut Option<Layout>,
        paint: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX))
            .set_truncation_indicator("…");
        if above.is_none() {
            let names = self.header.iter().map(|name| Cell::new(paint(&self.title(name))));
            let mut header = Row::from(names.collect::<Vec<_>>());
            header.max_height(1);
            table.set_header(header);
        }
        for cells in &self.rows {
            let mut row = Row::from(cells.clone());
            row.max_height(1);
            table.add_row(row);
        }
        let contents: Vec<usize> = table.column_max_content_widths().into_iter().map(usize::from).collect();
        let layout = self.layout(width, &contents, above.as_ref());
        for (column, width) in table.column_iter_mut().zip(&layout.widths) {
            column.set_padding((0, GAP as u16));
            column.set_constraint(match width {
                None => ColumnConstraint::Hidden,
                Some(width) => {
                    ColumnConstraint::Absolute(Width::Fixed(u16::try_from(width + GAP).unwrap_or(u16::MAX)))
                }
            });
        }
        *above = Some(layout);
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn title(&self, name: &str) -> String {
        match &self.zone {
            Some((column, zone)) if *column == name => format!("{} ({zone})", name.to_uppercase()),
            Some(_) | None => name.to_uppercase(),
        }
    }

    fn layout(&self, width: usize, contents: &[usize], above: Option<&Layout>) -> Layout {
        let width_above = |index: usize| above.and_then(|above| above.widths.get(index).copied());
        let mut widths: Vec<Option<usize>> = contents
            .iter()
            .enumerate()
            .map(|(index, content)| match width_above(index) {
                None => Some(*content),
                Some(None) => None,
                Some(Some(before)) => Some(before.max(*content)),
            })
            .collect();
        let position = |name: &str| self.header.iter().position(|column| *column == name);
        let elastic = position(self.elastic).unwrap_or(0);
        let rigid = |widths: &[Option<usize>]| -> usize {
            let others = widths.iter().enumerate().filter(|(index, _)| *index != elastic);
            others.filter_map(|(_, width)| *width).map(|width| width + GAP).sum()
        };
        let wanted = contents.get(elastic).copied().unwrap_or(0);
        for name in self.dispensable {
            if rigid(&widths) + wanted.min(ELASTIC_MIN) > width
                && let Some(column) = position(name).and_then(|index| widths.get_mut(index))
            {
                *column = None;
            }
        }
        let left = width.saturating_sub(rigid(&widths));
        if let Some(Some(elastic)) = widths.get_mut(elastic) {
            *elastic = wanted.min(left.max(COLUMN_MIN));
        }
        squeeze(&mut widths, width);
        Layout { widths }
    }
}

/// Shrinks the widest column until the line fits: the last resort on a very narrow terminal.
fn squeeze(widths: &mut [Option<usize>], width: usize) {
    while widths.iter().flatten().map(|column| column + GAP).sum::<usize>() > width + GAP {
        match widths.iter_mut().flatten().max() {
            Some(widest) if *widest > COLUMN_MIN => *widest -= 1,
            Some(_) | None => return,
        }
    }
}

/// Joins the lines of a cell: a server's message may have many.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r', '\t']) {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
