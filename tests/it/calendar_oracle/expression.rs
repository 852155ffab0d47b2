//! Expressions generated together with what they mean, item by item, without any parsing.

use jiff::civil::Date;

use super::random::Random;

#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) text: String,
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
    second: Option<Field>,
}

#[derive(Debug)]
struct Field {
    low: i8,
    high: i8,
    text: String,
    items: Vec<Item>,
    /// For each value, whether a plain item contains it.
    contained: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Star,
    Question,
    One(i8),
    Range(i8, i8),
    RangeStep(i8, i8, i8),
    StarStep(i8),
    FromStep(i8, i8),
    LastDay,
    NearestWeekday(i8),
    Nth(i8, i8),
    LastWeekday(i8),
}

const MONTHS: [&str; 13] =
    ["", "jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "Mon", "TUE", "wed", "thu", "fri", "sat"];

impl Generated {
    pub(crate) fn new(random: &mut Random) -> Generated {
        let minute = Field::new(random, 0, 59, |random| random.one_in(5), &[]);
        // Clock changes are at night: half of all hours generated are there.
        let hour_high = if random.one_in(2) { 4 } else { 23 };
        let hour = Field::new(random, 0, hour_high, |random| random.one_in(4), &[]).up_to(23);
        let month = Field::new(random, 1, 12, |random| !random.one_in(4), &[Names::Months]);
        let day_of_month = Field::new(random, 1, 31, |random| !random.one_in(3), &[Names::MonthDays]);
        let day_of_week = Field::new(random, 0, 6, |random| !random.one_in(3), &[Names::Weekdays]);
        let second = random.one_in(8).then(|| Field::new(random, 0, 59, |random| random.one_in(9), &[]));
        let mut text =
            [&minute, &hour, &day_of_month, &month, &day_of_week].map(|field| field.text.as_str()).join(" ");
        if let Some(second) = &second {
            text = format!("{text}  {}", second.text);
        }
        Generated { text, minute, hour, day_of_month, month, day_of_week, second }
    }

    pub(crate) fn has_seconds(&self) -> bool {
        self.second.is_some()
    }

    pub(crate) fn is_wild(&self) -> bool {
        [&self.minute, &self.hour].iter().any(|field| field.text.starts_with(['*', '?']))
    }

    /// Returns whether no date in a whole cycle of leap years matches. (Some time of day always does.)
    pub(crate) fn is_impossible(&self) -> bool {
        let first = jiff::civil::date(2020, 1, 1);
        !first.series(jiff::Span::new().days(1)).take(366 * 4 * 7).any(|date| self.matches_date(date))
    }

    pub(crate) fn matches_time(&self, hour: i8, minute: i8, second: i8) -> bool {
        self.hour.contains(hour)
            && self.minute.contains(minute)
            && self.second.as_ref().map_or(second == 0, |field| field.contains(second))
    }

    pub(crate) fn matches_date(&self, date: Date) -> bool {
        if !self.month.contains(date.month()) {
            return false;
        }
        let (of_month, of_week) = (&self.day_of_month, &self.day_of_week);
        // croniter's exception: a field that lists all its days counts as `*` if the other has a star.
        let month_free = of_month.has_star() || (of_month.lists_all() && of_week.text.contains('*'));
        let week_free = of_week.has_star() || (of_week.lists_all() && of_month.text.contains('*'));
        let month_matches = of_month.items.iter().any(|item| of_month.item_matches_date(*item, date));
        let week_matches = of_week.items.iter().any(|item| of_week.item_matches_date(*item, date));
        match (month_free, week_free) {
            (true, true) => true,
            (true, false) => week_matches,
            (false, true) => month_matches,
            (false, false) => month_matches || week_matches,
        }
    }
}

#[derive(Clone, Copy)]
enum Names {
    Months,
    MonthDays,
    Weekdays,
}

impl Field {
    fn new(random: &mut Random, low: i8, high: i8, star: fn(&mut Random) -> bool, names: &[Names]) -> Field {
        let names = names.first().copied();
        if star(random) {
            let item = if random.one_in(6) { Item::Question } else { Item::Star };
            return Field::of(low, high, item.text(None, random), vec![item]);
        }
        let count = if random.one_in(3) { random.between(2, 4) } else { 1 };
        let items: Vec<Item> = (0..count).map(|_| Item::new(random, low, high, names)).collect();
        let texts: Vec<String> = items.iter().map(|item| item.text(names, random)).collect();
        Field::of(low, high, texts.join(","), items)
    }

    /// Steps run to the end of the field, not of the part that values were drawn from.
    fn up_to(self, high: i8) -> Field {
        Field::of(self.low, high, self.text, self.items)
    }

    fn of(low: i8, high: i8, text: String, items: Vec<Item>) -> Field {
        let contained = |value| items.iter().any(|item| item.contains(value, low));
        Field { low, high, contained: (0..=high).map(contained).collect(), text, items }
    }

    fn has_star(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Star | Item::Question))
    }

    fn lists_all(&self) -> bool {
        (self.low..=self.high).all(|value| self.contains(value))
    }

    fn contains(&self, value: i8) -> bool {
        self.contained[value as usize]
    }

    fn item_matches_date(&self, item: Item, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        match item {
            Item::LastDay => date.tomorrow().unwrap().day() == 1,
            Item::NearestWeekday(day) => {
                let is_working_day = |day: &i8| {
                    let weekday = date.with().day(*day).build().unwrap().weekday().to_sunday_zero_offset();
                    (1..=5).contains(&weekday)
                };
                let target = day.min(date.days_in_month());
                let working_days = (1..=date.days_in_month()).filter(is_working_day);
                working_days.min_by_key(|day| day.abs_diff(target)) == Some(date.day())
            }
            Item::Nth(day, nth) => weekday == day && (date.day() + 6) / 7 == nth,
            Item::LastWeekday(day) => weekday == day && date.day() + 7 > date.days_in_month(),
            plain => {
                let value = if self.high == 6 { weekday } else { date.day() };
                plain.contains(value, self.low)
            }
        }
    }
}

impl Item {
    fn new(random: &mut Random, low: i8, high: i8, names: Option<Names>) -> Item {
        let value = random.between(low, high);
        match (names, random.between(0, 11)) {
            (Some(Names::MonthDays), 0) => Item::LastDay,
            (Some(Names::MonthDays), 1) => Item::NearestWeekday(value),
            (Some(Names::Weekdays), 0 | 1) => Item::Nth(value, random.between(1, 5)),
            (Some(Names::Weekdays), 2) => Item::LastWeekday(value),
            (_, 3 | 4) => Item::Range(value, random.between(low, high)),
            (_, 5) => {
                // Wrapping ranges with steps have croniter's oddity, which its own fixture covers.
                let other = random.between(low, high);
                Item::RangeStep(value.min(other), value.max(other), random.between(1, 7))
            }
            (_, 6 | 7) => Item::StarStep(random.between(2, 31)),
            (_, 8) => Item::FromStep(value, random.between(1, 20)),
            _ => Item::One(value),
        }
    }

    fn contains(self, value: i8, low: i8) -> bool {
        match self {
            Item::Star | Item::Question => true,
            Item::One(only) => value == only,
            Item::Range(from, to) if from == to => true,
            Item::Range(from, to) if from < to => from <= value && value <= to,
            Item::Range(from, to) => from <= value || value <= to,
            Item::RangeStep(from, to, step) if from == to => (value - low) % step == 0,
            Item::RangeStep(from, to, step) => from <= value && value <= to && (value - from) % step == 0,
            Item::StarStep(step) => (value - low) % step == 0,
            Item::FromStep(from, step) => from <= value && (value - from) % step == 0,
            Item::LastDay | Item::NearestWeekday(_) | Item::Nth(..) | Item::LastWeekday(_) => false,
        }
    }

    fn text(self, names: Option<Names>, random: &mut Random) -> String {
        let by_name = random.one_in(2);
        let sunday_is_seven = random.one_in(2);
        let name = |value: i8| match names {
            Some(Names::Months) if by_name => MONTHS[value as usize].to_owned(),
            Some(Names::Weekdays) if by_name => WEEKDAYS[value as usize].to_owned(),
            Some(Names::Weekdays) if value == 0 && sunday_is_seven => "7".to_owned(),
            _ => value.to_string(),
        };
        match self {
            Item::Star => "*".to_owned(),
            Item::Question => "?".to_owned(),
            Item::One(value) => name(value),
            Item::Range(from, to) => format!("{}-{}", name(from), name(to)),
            Item::RangeStep(from, to, step) => format!("{}-{}/{step}", name(from), name(to)),
            Item::StarStep(step) => format!("*/{step}"),
            Item::FromStep(from, step) => format!("{}/{step}", name(from)),
            Item::LastDay => "L".to_owned(),
            Item::NearestWeekday(day) if by_name => format!("w{day}"),
            Item::NearestWeekday(day) => format!("{day}W"),
            Item::Nth(day, nth) => format!("{}#{nth}", name(day)),
            Item::LastWeekday(day) => format!("L{day}"),
        }
    }
}
