//! Tables that fit the terminal. Which columns a table has depends on the width alone, never on what is in its cells: a
//! reader who has found a column finds it again.

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, Width};
use jiff::tz::TimeZone;

use super::Failure;
use crate::present::times;

/// Spaces between two columns.
const GAP: usize = 2;
/// No column is made narrower than this, even on a very narrow terminal.
const COLUMN_MIN: usize = 4;
/// How far what stands below a row is indented.
const INDENT: usize = 4;

/// The columns of a table, and what becomes of them where a line is short.
pub(in crate::cli) struct Shape {
    pub(in crate::cli) columns: &'static [&'static str],
    /// The widths that are usual for their cells.
    pub(in crate::cli) usual: &'static [usize],
    /// What is given up, one after the other, until a line of cells of usual width fits.
    pub(in crate::cli) shrink: &'static [Shrink],
}

/// One step towards a shorter line.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Shrink {
    /// The column is left out.
    Omit(&'static str),
    /// Its cells move to a line of their own below the row.
    Below(&'static str),
}

/// Options of the commands that print a table.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct TableOptions {
    /// Show these columns, separated by commas, in this order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show all columns, uncut, each row on one line
    #[arg(long)]
    wide: bool,
}

/// How much room there is for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Room {
    pub(in crate::cli) width: usize,
    /// How many lines a cell may take.
    pub(in crate::cli) lines: u16,
}

/// The rows of a table.
pub(in crate::cli) struct Rows {
    shape: &'static Shape,
    /// The columns that were asked for, by their positions.
    chosen: Option<Vec<usize>>,
    wide: bool,
    rows: Vec<Vec<String>>,
    zone: Option<(&'static str, String)>,
}

/// Where the columns of a table are, for a table that continues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Layout {
    /// The columns that are beside each other, each with its width without the gap.
    beside: Vec<(usize, usize)>,
    below: Vec<usize>,
}

impl Rows {
    pub(in crate::cli) fn new(shape: &'static Shape) -> Self {
        Self { shape, chosen: None, wide: false, rows: Vec::new(), zone: None }
    }

    /// Applies the options, or says that there is no such column.
    pub(in crate::cli) fn with_options(mut self, options: &TableOptions) -> Result<Self, Failure> {
        let position = |name: &String| {
            let known = self.shape.columns;
            known.iter().position(|column| column.eq_ignore_ascii_case(name)).ok_or_else(|| {
                Failure::Usage(format!("--columns: `{name}` is not one of {}", known.join(", ")))
            })
        };
        let chosen: Vec<usize> = options.columns.iter().map(position).collect::<Result<_, _>>()?;
        self.chosen = (!chosen.is_empty()).then_some(chosen);
        self.wide = options.wide;
        Ok(self)
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

    /// Returns the lines. Below another table there is no header, and the columns do not move.
    pub(in crate::cli) fn arrange(
        self,
        room: Room,
        above: &mut Option<Layout>,
        paint: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let room = if self.wide { Room { width: usize::from(u16::MAX), lines: 1 } } else { room };
        let titles: Vec<String> = self.shape.columns.iter().map(|name| self.title(name)).collect();
        let layout = self.layout(room.width, &titles, above.as_ref());
        let widths: Vec<usize> = layout.beside.iter().map(|(_, width)| *width).collect();
        let beside = |cells: &[String]| {
            let cells = layout.beside.iter().map(|(column, _)| cells[*column].clone());
            lines_of(cells.collect(), &widths, room.lines)
        };
        let mut lines = Vec::new();
        if above.is_none() {
            lines.extend(beside(&titles.iter().map(|title| paint(title)).collect::<Vec<_>>()));
        }
        for cells in &self.rows {
            lines.extend(beside(cells));
            let below = layout.below.iter().map(|column| cells[*column].as_str());
            let below = below.filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ");
            if !below.is_empty() {
                let width = room.width.saturating_sub(INDENT).max(COLUMN_MIN);
                let below = lines_of(vec![below], &[width], room.lines);
                lines.extend(below.into_iter().map(|line| format!("{:INDENT$}{line}", "")));
            }
        }
        *above = Some(layout);
        lines
    }

    fn title(&self, name: &str) -> String {
        match &self.zone {
            Some((column, zone)) if *column == name => format!("{} ({zone})", name.to_uppercase()),
            Some(_) | None => name.to_uppercase(),
        }
    }

    /// Places the columns, and gives each the width of its longest cell, as far as there is room.
    fn layout(&self, width: usize, titles: &[String], above: Option<&Layout>) -> Layout {
        let (beside, below) = match above {
            Some(above) => (above.beside.clone(), above.below.clone()),
            None => self.places(width),
        };
        let mut table = Table::new();
        table.set_header(titles);
        self.rows.iter().for_each(|cells| {
            table.add_row(cells);
        });
        let contents = table.column_max_content_widths();
        let wanted = |(column, before): (usize, usize)| (column, before.max(usize::from(contents[column])));
        let mut beside: Vec<(usize, usize)> = beside.into_iter().map(wanted).collect();
        squeeze(&mut beside, width, |column| self.shape.usual[column]);
        // The last resort on a very narrow terminal.
        squeeze(&mut beside, width, |_| COLUMN_MIN);
        Layout { beside, below }
    }

    /// Returns the columns that are beside each other, without a width yet, and those below.
    fn places(&self, width: usize) -> (Vec<(usize, usize)>, Vec<usize>) {
        let columns = self.shape.columns;
        let (mut beside, mut below): (Vec<usize>, Vec<usize>) = ((0..columns.len()).collect(), Vec::new());
        let steps = if self.chosen.is_some() { &[] } else { self.shape.shrink };
        for step in steps {
            let usual = beside.iter().map(|column| (*column, self.shape.usual[*column]));
            if line_width(usual) <= width {
                break;
            }
            let (Shrink::Omit(name) | Shrink::Below(name)) = step;
            let position = beside.iter().position(|column| columns[*column] == *name);
            let column = position.map(|position| beside.remove(position));
            if matches!(step, Shrink::Below(_)) {
                below.extend(column);
            }
        }
        below.sort_unstable();
        let beside = self.chosen.clone().unwrap_or(beside);
        (beside.into_iter().map(|column| (column, 0)).collect(), below)
    }
}

fn line_width(columns: impl Iterator<Item = (usize, usize)>) -> usize {
    columns.map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Narrows the widest column that is wider than its `least` until the line fits.
fn squeeze(columns: &mut [(usize, usize)], width: usize, least: impl Fn(usize) -> usize) {
    while line_width(columns.iter().copied()) > width {
        let wider = columns.iter_mut().filter(|(column, width)| *width > least(*column));
        let Some((_, widest)) = wider.max_by_key(|(_, width)| *width) else { return };
        *widest -= 1;
    }
}

/// Returns cells beside each other, each cut to its width and to this many lines.
fn lines_of(cells: Vec<String>, widths: &[usize], lines: u16) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::MAX)
        .set_truncation_indicator("…");
    let mut row = Row::from(cells.into_iter().map(Cell::new).collect::<Vec<_>>());
    row.max_height(usize::from(lines));
    table.add_row(row);
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP as u16));
        let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
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
