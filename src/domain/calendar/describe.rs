//! Describes a schedule in plain English. It reads the recurrence and not the text, so it says what will happen.

use super::recurrence::{Days, MonthDays, Numbers, Recurrence, WeekDays};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const NTH: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// The most times of day that are listed one by one; more are described by their hours and minutes.
const TIMES_LISTED_MAX: usize = 6;

pub(super) fn describe(recurrence: &Recurrence) -> String {
    let mut sentence = times(recurrence);
    for part in
        [days(&recurrence.days), months(&recurrence.months), years(&recurrence.years)].into_iter().flatten()
    {
        sentence.push(' ');
        sentence.push_str(&part);
    }
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => sentence,
    }
}

fn times(recurrence: &Recurrence) -> String {
    let Recurrence { seconds, minutes, hours, .. } = recurrence;
    let is_on_the_minute = only(seconds) == Some(0);
    if hours.len() * minutes.len() * seconds.len() <= TIMES_LISTED_MAX {
        let minutes_of = |hour| minutes.iter().map(move |minute| (hour, minute));
        let times = hours.iter().flat_map(minutes_of).flat_map(|(hour, minute)| {
            seconds.iter().map(move |second| {
                let time = format!("{hour:02}:{minute:02}");
                if is_on_the_minute { time } else { format!("{time}:{second:02}") }
            })
        });
        return format!("at {}", and(times.collect()));
    }
    let is_every_minute = minutes.len() == 60 && hours.len() == 24;
    match (is_on_the_minute, is_every_minute) {
        (true, _) => minutes_and_hours(minutes, hours),
        (false, true) if even_step(seconds, 60).is_some() => unit("second", seconds, 60),
        (false, _) => {
            let seconds = match seconds.len() {
                60 => "every second".to_owned(),
                _ => listed("second", seconds),
            };
            format!("{seconds} of the minute, {}", minutes_and_hours(minutes, hours))
        }
    }
}

fn minutes_and_hours(minutes: &Numbers, hours: &Numbers) -> String {
    let span = hours.first().zip(hours.last()).filter(|(low, high)| hours.len() > usize::from(*high - *low));
    match (only(minutes), even_step(minutes, 60), even_step(hours, 24), span) {
        (Some(minute), _, _, Some((low, high))) if low == high => format!("at {low:02}:{minute:02}"),
        (Some(minute), _, Some(1), _) => format!("every hour at minute {minute}"),
        (Some(minute), _, Some(step), _) => format!("every {step} hours from 00:{minute:02}"),
        (Some(minute), _, None, Some((low, high))) => {
            format!("every hour from {low:02}:{minute:02} to {high:02}:{minute:02}")
        }
        (None, Some(_), Some(1), _) => unit("minute", minutes, 60),
        (None, Some(_), _, Some((low, high))) => {
            format!("{} from {low:02}:00 to {high:02}:59", unit("minute", minutes, 60))
        }
        (_, _, Some(1), _) => format!("{} of every hour", listed("minute", minutes)),
        (_, _, _, _) => format!("{} of {}", listed("minute", minutes), counted("hour", hours)),
    }
}

/// Returns `every minute`, `every 15 minutes`, or a list.
fn unit(name: &str, numbers: &Numbers, cycle: u16) -> String {
    match even_step(numbers, cycle) {
        Some(1) => format!("every {name}"),
        Some(step) => format!("every {step} {name}s"),
        None => listed(name, numbers),
    }
}

fn listed(name: &str, numbers: &Numbers) -> String {
    format!("at {}", counted(name, numbers))
}

/// Returns `minute 5` or `minutes 0 to 10`.
fn counted(name: &str, numbers: &Numbers) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("{name}{plural} {}", runs(numbers, &number))
}

/// Returns the step if the numbers go around the cycle in equal steps from 0.
fn even_step(numbers: &Numbers, cycle: u16) -> Option<u16> {
    let count =
        u16::try_from(numbers.len()).ok().filter(|count| *count > 1 && cycle.is_multiple_of(*count))?;
    let step = cycle / count;
    numbers.iter().copied().eq((0..count).map(|index| index * step)).then_some(step)
}

fn days(days: &Days) -> Option<String> {
    match days {
        Days::Every => None,
        Days::OfMonth(of_month) => Some(format!("on {}", month_days(of_month))),
        Days::OfWeek(of_week) => Some(format!("on {}", week_days(of_week))),
        Days::Either(of_month, of_week) => {
            Some(format!("on {}, or on {}", month_days(of_month), week_days(of_week)))
        }
    }
}

fn month_days(days: &MonthDays) -> String {
    let mut parts = Vec::new();
    match days.numbers.len() {
        0 => {}
        1 => parts.push(format!("day {} of the month", runs(&days.numbers, &number))),
        _ => parts.push(format!("days {} of the month", runs(&days.numbers, &number))),
    }
    if days.last {
        parts.push("the last day of the month".to_owned());
    }
    for day in &days.nearest_weekday {
        parts.push(format!("the working day nearest to day {day} of the month"));
    }
    and(parts)
}

fn week_days(days: &WeekDays) -> String {
    let mut parts = Vec::new();
    if !days.numbers.is_empty() {
        parts.push(runs(&days.numbers, &weekday));
    }
    for (nth, weekdays) in NTH.iter().zip(&days.nth) {
        for day in weekdays {
            parts.push(format!("the {nth} {} of the month", weekday(*day)));
        }
    }
    for day in &days.last {
        parts.push(format!("the last {} of the month", weekday(*day)));
    }
    and(parts)
}

fn months(months: &Numbers) -> Option<String> {
    (months.len() < 12).then(|| format!("in {}", runs(months, &month)))
}

fn years(years: &Option<Numbers>) -> Option<String> {
    years.as_ref().map(|years| format!("in {}", runs(years, &number)))
}

fn number(number: u16) -> String {
    number.to_string()
}

fn month(number: u16) -> String {
    MONTHS.get(usize::from(number).wrapping_sub(1)).copied().unwrap_or_default().to_owned()
}

fn weekday(number: u16) -> String {
    WEEKDAYS.get(usize::from(number)).copied().unwrap_or_default().to_owned()
}

/// Returns `1, 5 and 10 to 20`: three or more consecutive numbers are described by their ends.
fn runs(numbers: &Numbers, name: &dyn Fn(u16) -> String) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, high)) if *high + 1 == *number => *high = *number,
            Some(_) | None => runs.push((*number, *number)),
        }
    }
    let parts = runs.into_iter().flat_map(|(low, high)| match high - low {
        0 => vec![name(low)],
        1 => vec![name(low), name(high)],
        _ => vec![format!("{} to {}", name(low), name(high))],
    });
    and(parts.collect())
}

fn only(numbers: &Numbers) -> Option<u16> {
    numbers.first().copied().filter(|_| numbers.len() == 1)
}

fn and(mut parts: Vec<String>) -> String {
    match (parts.pop(), parts.as_slice()) {
        (None, _) => String::new(),
        (Some(last), []) => last,
        (Some(last), before) => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests;
