//! Prints what is wrong: each with since when, and with what to do beside it or below.

use std::io;

use super::{Session, wrapped};
use crate::api::wire::{Attention, Time};
use crate::present::{Tone, times};

/// How many of one kind are printed: the rest is listed by a command of its own.
const PRINTED_OF_A_KIND: usize = 5;
const INDENT: usize = 4;

pub(in crate::cli) fn print_attention(found: &[Attention], session: &mut Session) -> io::Result<()> {
    for group in found.chunk_by(|a, b| (a.what.0, a.needs_person) == (b.what.0, b.needs_person)) {
        for one in group.iter().take(PRINTED_OF_A_KIND) {
            print(one, session)?;
        }
        let command = group.first().and_then(|first| first.what.0.listed_by()).unwrap_or_default();
        if group.len() > PRINTED_OF_A_KIND {
            let more = format!("and {} more: `{command}`", group.len() - PRINTED_OF_A_KIND);
            session.output.line(&format!("{:INDENT$}{more}", ""))?;
        }
    }
    Ok(())
}

fn print(one: &Attention, session: &mut Session) -> io::Result<()> {
    let now = session.now();
    let since = one.since.map(|Time(since)| {
        format!(" (since {}, {})", times::short(since, now, &session.zone), times::relative(since, now))
    });
    let subject = one.subject.as_ref().map(|subject| format!(" {subject}")).unwrap_or_default();
    let (called, width) = (format!("{}{subject}", one.what.0.called()), session.output.width());
    let text = format!("{called}{}: {}", since.unwrap_or_default(), one.text);
    let todo = one.todo.as_deref().unwrap_or_default();
    let mut lines = wrapped(&text, width, INDENT);
    match lines.as_mut_slice() {
        [line] if line.chars().count() + "; ".len() + todo.chars().count() <= width && !todo.is_empty() => {
            line.push_str(&format!("; {todo}"));
        }
        _ => {
            let below = wrapped(todo, width.saturating_sub(INDENT), 0);
            lines.extend(below.iter().map(|line| format!("{:INDENT$}{line}", "")));
        }
    }
    let tone = if one.needs_person { Tone::Bad } else { Tone::Attention };
    for (index, line) in lines.iter().enumerate() {
        let begun = line.strip_prefix(&called).filter(|_| index == 0);
        let line = begun.map(|rest| format!("{}{rest}", session.output.paint(tone, &called)));
        session.output.line(line.as_ref().unwrap_or(&lines[index]))?;
    }
    Ok(())
}
