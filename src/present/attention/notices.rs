//! What the daemon has noted about itself.

use jiff::Timestamp;

use super::{Attention, Concern};
use crate::present::counted;
use crate::store::{DaemonState, Notice, NoticeKind, STATUS_PERIOD};

pub(super) fn noticed(notice: &Notice, daemon: &DaemonState, now: Timestamp) -> Option<Attention> {
    let text = notice.detail.as_str();
    let is_over = *daemon == DaemonState::Stopped;
    let found = match notice.kind {
        NoticeKind::ClockStep if now.duration_since(notice.at) > STATUS_PERIOD => return None,
        NoticeKind::ClockStep => Attention::new(Concern::ClockStep, text).on_purpose(),
        NoticeKind::StoreCopy | NoticeKind::Configuration | NoticeKind::Listen if is_over => return None,
        NoticeKind::Files | NoticeKind::Settings | NoticeKind::Restart if is_over => return None,
        NoticeKind::StoreCopy => Attention::new(Concern::StoreCopy, text)
            .todo("stop one of the two, or give one an empty database"),
        NoticeKind::Configuration => {
            let text = match text.lines().nth(1) {
                None if notice.count == 1 => text.to_owned(),
                _ => {
                    let mistakes = counted(notice.count, "mistake");
                    match &notice.of {
                        // Whether anything of its files is in force is said apart.
                        Some(_) => mistakes,
                        None => format!("{mistakes}; what is understood is in force"),
                    }
                }
            };
            Attention::new(Concern::Configuration, text)
                .todo("mend the files; they are read again by themselves")
        }
        // Both pass by themselves at the end of a roll-out.
        NoticeKind::Files => Attention::new(Concern::Configuration, text)
            .todo("give that daemon the files in force; to go back to its own, send it SIGHUP")
            .on_purpose(),
        NoticeKind::Settings => Attention::new(Concern::Configuration, text)
            .todo("give all daemons the same settings, and restart those that differ")
            .on_purpose(),
        NoticeKind::Restart => Attention::new(Concern::Configuration, text)
            .todo("restart the daemon; until then the values that it was started with are in force"),
        NoticeKind::Backup => Attention::new(Concern::Backup, format!("failed: {text}"))
            .todo("make room, or correct [store.backup]; it is tried again within the hour"),
        NoticeKind::Listen => {
            Attention::new(Concern::Listen, text).todo("correct [http], and restart the daemon")
        }
    };
    Some(found.since(notice.at).said_by(notice.of.as_ref()))
}
