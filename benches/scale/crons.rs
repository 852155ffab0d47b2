//! The crons, in files of a hundred each.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::home::Home;
use super::machine::now;

pub(super) const CRONS_PER_FILE: usize = 100;
/// The cron that fires every second.
pub(super) const TICKING: &str = "ticking";

/// Makes a folder with that many crons, none of which is due within the next six hours.
pub(super) fn home(url: &str, count: usize) -> Result<Home> {
    let home = Home::new(&format!(
        "include = [\"crons.d/*.toml\"]\n[backend]\nurl = \"{url}\"\n[store]\npath = \"agentcron.db\"\n\
         [http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n[defaults]\ntimezone = \"UTC\"\non_run_completed = \"keep\"\n"
    ))?;
    std::fs::create_dir(home.path("crons.d"))?;
    for file in 0..count.div_ceil(CRONS_PER_FILE) {
        std::fs::write(file_of(&home, file), text(file, count, "as it was")?)?;
    }
    Ok(home)
}

/// Changes the prompt of the first cron in this file. As editors do it, a new file takes the place of the old one.
pub(super) fn change(home: &Home, file: usize, count: usize, prompt: &str) -> Result<()> {
    let new = home.path("new.toml");
    std::fs::write(&new, text(file, count, prompt)?)?;
    Ok(std::fs::rename(new, file_of(home, file))?)
}

pub(super) fn start_ticking(home: &Home) -> Result<()> {
    let new = home.path("new.toml");
    std::fs::write(
        &new,
        format!("[cron.{TICKING}]\nschedule = \"* * * * * *\"\nassistant_id = \"agent\"\n"),
    )?;
    Ok(std::fs::rename(new, home.path("crons.d/ticking.toml"))?)
}

/// Returns the name of the first cron in a file.
pub(super) fn first_of(file: usize) -> String {
    format!("cron-{:07}", file * CRONS_PER_FILE)
}

fn file_of(home: &Home, file: usize) -> PathBuf {
    home.path(&format!("crons.d/{file:05}.toml"))
}

fn text(file: usize, count: usize, prompt_of_first: &str) -> Result<String> {
    let hour_now = usize::try_from(now().as_second().div_euclid(3_600).rem_euclid(24))?;
    let mut text = String::new();
    let first = file * CRONS_PER_FILE;
    for index in first..count.min(first + CRONS_PER_FILE) {
        let (minute, hour) = (index % 60, (hour_now + 7 + index % 12) % 24);
        let prompt =
            if index == first { prompt_of_first } else { "Summarise what happened since the last run." };
        writeln!(
            text,
            "[cron.cron-{index:07}]\nschedule = \"{minute} {hour} * * *\"\nassistant_id = \"agent\"\n\
             input = {{ messages = [{{ role = \"user\", content = \"{prompt}\" }}] }}"
        )?;
    }
    Ok(text)
}
