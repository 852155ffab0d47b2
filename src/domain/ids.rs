//! Identities. Most ids that agentcron makes are UUIDv5 (RFC 9562 §5.5) of what they identify, so that the
//! same occurrence has the same `run_id` and the same threads before and after a crash. Those of crons from
//! files derive from the store's [`InstallationId`]: two installations with equal files never share an id. A
//! cron that is created through the API, and a run that a client starts, get a new id instead.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

/// The namespace from which agent servers derive the id of a graph's own assistant (as observed with
/// `langgraph-api` 0.16.7).
const GRAPHS: Uuid = Uuid::from_u128(0x6ba7_b821_9dad_11d1_80b4_00c0_4fd4_30c8);

/// The retry number of the first run of an occurrence.
pub const FIRST_RUN: u32 = 0;

/// Anything shorter is more likely a typing mistake than the beginning of an id.
pub const ID_CHARS_MIN: usize = 4;
const ID_CHARS: usize = 36;

/// Whether a text has the form of an id, or of the beginning of one.
pub fn may_begin_id(text: &str) -> bool {
    let is_hexadecimal = text.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    (ID_CHARS_MIN..=ID_CHARS).contains(&text.len()) && is_hexadecimal
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One store, for as long as it exists; drawn at random when the store is created. The default, the nil UUID,
    /// means no store: definitions that are only checked or shown have ids derived from it, and these are
    /// never stored.
    InstallationId
);
/// The number of one life of a daemon in its store, which the store gives out. What a daemon holds is held under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DaemonNumber(pub i64);

uuid_id!(
    /// One life of a daemon, from its start to its end; drawn at random, and committed before anything is sent.
    DaemonId
);
uuid_id!(
    /// A cron. For crons from files it is derived from the name, so a renamed cron is a new cron.
    CronId
);
uuid_id!(
    /// A run as agentcron records it; the agent server's own id of it is [`BackendRunId`].
    RunId
);
uuid_id!(
    /// A thread on the agent server.
    ThreadId
);
uuid_id!(
    /// A run as the agent server knows it.
    BackendRunId
);
uuid_id!(
    /// One version of a cron's definition.
    DefinitionId
);
uuid_id!(
    /// The duty to notify one URL of one ended run.
    DeliveryId
);

uuid_id!(
    /// An assistant on the agent server.
    AssistantId
);

/// Who starts a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOwner {
    pub installation_id: InstallationId,
    pub daemon_id: DaemonId,
}

impl AssistantId {
    /// Returns the assistant with this id, or the one that the server makes for a graph of this name.
    pub fn of_word(word: &str) -> Self {
        word.parse().unwrap_or_else(|_| Self(Uuid::new_v5(&GRAPHS, word.as_bytes())))
    }
}

impl CronId {
    /// Returns the id of a cron that is created through the API: time-ordered (UUIDv7, RFC 9562 §5.7), like the
    /// agent server's own ids.
    pub fn of_time(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Returns the id of the cron that a file of this installation defines under `name`.
    pub fn of_name(installation: InstallationId, name: &str) -> Self {
        Self(Uuid::new_v5(&installation.0, format!("cron\0{name}").as_bytes()))
    }
}

impl DefinitionId {
    /// Returns the id of a definition, which is derived from its content: the same text is the same version.
    pub fn of_content(cron_id: CronId, content: &str) -> Self {
        Self(Uuid::new_v5(&cron_id.0, content.as_bytes()))
    }
}

impl RunId {
    /// Returns the id of a run, whose identity is `(cron_id, scheduled_for, retry)`. The first run of an
    /// occurrence is retry [`FIRST_RUN`].
    pub fn of_occurrence(cron_id: CronId, scheduled_for: Timestamp, retry: u32) -> Self {
        let millis = scheduled_for.as_millisecond();
        Self(Uuid::new_v5(&cron_id.0, format!("run\0{millis}\0{retry}").as_bytes()))
    }

    /// Returns the thread `T_n` that start `n` of a stateless run is sent to.
    pub fn thread_of_start(self, start_number: u32) -> ThreadId {
        ThreadId(Uuid::new_v5(&self.0, format!("thread\0{start_number}").as_bytes()))
    }
}

impl ThreadId {
    /// Returns the thread that a name means in the crons of this installation (`thread = "inbox"`).
    pub fn of_name(installation: InstallationId, name: &str) -> Self {
        Self(Uuid::new_v5(&installation.0, format!("thread\0{name}").as_bytes()))
    }
}

impl DeliveryId {
    /// Returns the id of the one delivery by which a target is told of a group of changes.
    pub fn of_notification(group: Uuid, incident: Uuid, target: &str) -> Self {
        Self(Uuid::new_v5(&group, format!("notification\0{incident}\0{target}").as_bytes()))
    }

    /// Returns the id of the one ping by which a run says this.
    pub fn of_ping(run_id: RunId, signal: &str) -> Self {
        Self(Uuid::new_v5(&run_id.0, format!("ping\0{signal}").as_bytes()))
    }

    /// Returns the id of the one delivery that a run has for a URL.
    pub fn of_run(run_id: RunId, url: &str) -> Self {
        Self(Uuid::new_v5(&run_id.0, format!("delivery\0{url}").as_bytes()))
    }
}
