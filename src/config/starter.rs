//! A commented configuration to start from: the very files of `examples/starter`, so that they are tested.

/// Where each file goes, relative to the main file's directory, and what is in it; the main file is the first.
pub const STARTER_FILES: &[(&str, &str)] = &[
    ("agentcron.toml", include_str!("../../examples/starter/agentcron.toml")),
    ("crons.d/hello.toml", include_str!("../../examples/starter/crons.d/hello.toml")),
];
