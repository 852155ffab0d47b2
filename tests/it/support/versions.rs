//! The versions of the agent server and of its SDKs that the tests run against; no other place names one.
//!
//! `AGENT_SERVER=newest` replaces them with the newest stable versions of PyPI and npm, `AGENT_SERVER=pre` by the newest
//! of all. `.ci/run server` passes it on. To move the pins, run the tests with `newest`, and copy what
//! `target/langgraph-newest/bin/pip freeze` prints.

/// The server's own packages, as PyPI names them.
const SERVER: &[(&str, &str)] = &[
    ("langgraph-cli[inmem]", "0.4.40"),
    ("langgraph-api", "0.16.7"),
    ("langgraph-runtime-inmem", "0.36.7"),
    ("langgraph", "1.2.24"),
    ("langgraph-checkpoint", "4.3.2"),
    ("langgraph-prebuilt", "1.1.3"),
    ("langchain-core", "1.8.3"),
    ("langchain-protocol", "0.0.20"),
    ("langsmith", "0.15.1"),
];

const PYTHON_SDK: (&str, &str) = ("langgraph-sdk", "0.4.14");

/// The package as npm names it.
const JS_SDK: (&str, &str) = ("@langchain/langgraph-sdk", "2.0.0");

/// What a page that uses its React hook needs beside it, and what makes one script of it.
pub(super) const WEB_PAGE: [&str; 4] =
    ["@langchain/core@1.4.0", "react@19.3.1", "react-dom@19.3.1", "esbuild@0.28.2"];

/// What finds faults in pages that shut out people with other eyes, hands or tools.
pub(super) const AXE: &str = "axe-core@4.14.1";

/// What those packages bring along. It is pinned as well, so that a release of somebody else's fails no test.
const DEPENDENCIES: &str = "
annotated-types==0.8.0
anyio==4.16.0
blockbuster==1.5.29
certifi==2026.10.19.post1
cffi==2.1.1
charset-normalizer==3.5.3
click==8.5.1
cloudpickle==3.1.3
croniter==7.0.0
cryptography==50.0.2
distro==1.9.0
forbiddenfruit==0.1.4
googleapis-common-protos==1.76.0
grpcio==1.81.2
grpcio-health-checking==1.81.1
grpcio-tools==1.81.1
h11==0.16.0
httpcore==1.0.9
httpcore2==2.16.2
httptools==0.9.0
httpx==0.28.1
httpx2==2.16.2
idna==3.20
jsonpatch==1.48
jsonpointer==3.12
jsonschema_rs==0.44.1
opentelemetry-api==1.45.2
opentelemetry-exporter-http-transport==0.66b2
opentelemetry-exporter-otlp-common==0.66b2
opentelemetry-exporter-otlp-proto-common==1.45.2
opentelemetry-exporter-otlp-proto-http==1.45.2
opentelemetry-exporter-prometheus==0.66b2
opentelemetry-proto==1.45.2
opentelemetry-sdk==1.45.2
opentelemetry-semantic-conventions==0.66b2
orjson==3.13.0
ormsgpack==1.13.1
packaging==26.4
pathspec==1.1.1
prometheus_client==0.26.0
protobuf==6.33.6
pycparser==3.12
pydantic==2.14.4
pydantic_core==2.50.5
PyJWT==2.15.1
python-dateutil==4.0.0
python-dotenv==1.2.4
PyYAML==6.0.4
requests==2.34.2
requests-toolbelt==1.0.0
sniffio==1.3.1
sse-starlette==3.7.0
starlette==1.10.0
structlog==25.5.0
tenacity==9.2.1
truststore==0.10.5
typing-inspection==0.4.5
typing_extensions==4.16.0
tzdata==2026.6
urllib3==2.8.0
uuid_utils==0.19.0
uvicorn==0.54.0
uvloop==0.23.0
watchfiles==1.3.0
websockets==17.4
xxhash==4.1.0
zstandard==0.25.0
";

/// Which versions a run of the tests asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    Pinned,
    Newest,
    /// The newest, pre-releases included.
    Pre,
}

/// What to install with pip: requirements, and constraints on all that they bring along.
pub(crate) struct Requirements {
    pub(crate) packages: Vec<String>,
    pub(crate) constraints: String,
}

impl Versions {
    /// Returns what `AGENT_SERVER` asks for.
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for those who run the tests, not a configuration"
    )]
    pub(crate) fn asked_for() -> Self {
        match std::env::var("AGENT_SERVER").as_deref() {
            Err(_) | Ok("" | "pinned") => Self::Pinned,
            Ok("newest") => Self::Newest,
            Ok("pre") => Self::Pre,
            Ok(other) => panic!("AGENT_SERVER is {other:?}; expected pinned, newest or pre"),
        }
    }

    /// Returns the name of a folder for these versions, so that the pinned ones stay installed beside the others.
    pub(crate) fn folder(self, name: &str) -> String {
        match self {
            Self::Pinned => name.to_owned(),
            Self::Newest => format!("{name}-newest"),
            Self::Pre => format!("{name}-pre"),
        }
    }

    pub(crate) fn server(self) -> Requirements {
        let packages = SERVER.iter().chain([&PYTHON_SDK]);
        self.requirements(packages.copied())
    }

    pub(crate) fn python_sdk(self) -> Requirements {
        self.requirements([PYTHON_SDK])
    }

    fn requirements(self, packages: impl IntoIterator<Item = (&'static str, &'static str)>) -> Requirements {
        let line = |(name, version): (&str, &str)| match self {
            Self::Pinned => format!("{name}=={version}"),
            Self::Newest => format!("{name}>={version}"),
            // A bound that is a pre-release admits pre-releases of this package, and of this one only.
            Self::Pre => format!("{name}>={version}.dev0"),
        };
        let constraints = if self == Self::Pinned { DEPENDENCIES.to_owned() } else { String::new() };
        Requirements { packages: packages.into_iter().map(line).collect(), constraints }
    }

    /// Returns the package of npm with its version; `published` lists the versions of a package, ascending.
    pub(crate) fn js_sdk(self, published: impl Fn(&str) -> Vec<String>) -> String {
        let (name, pinned) = JS_SDK;
        let newest = |admits: fn(&String) -> bool| {
            published(name)
                .into_iter()
                .rfind(admits)
                .unwrap_or_else(|| panic!("npm lists no version of {name}"))
        };
        let version = match self {
            Self::Pinned => pinned.to_owned(),
            Self::Newest => newest(|version| !version.contains('-')),
            Self::Pre => newest(|_| true),
        };
        format!("{name}@{version}")
    }
}

#[test]
fn the_versions_asked_for_are_pinned_newest_or_pre_releases_too() {
    let published = |_: &str| ["1.0.0", "2.0.0", "2.1.0-rc.1"].map(str::to_owned).to_vec();
    let shown = [Versions::Pinned, Versions::Newest, Versions::Pre].map(|versions| {
        let python = versions.python_sdk();
        let is_constrained = !python.constraints.is_empty();
        format!("{} {} {is_constrained}", python.packages.join(" "), versions.js_sdk(published))
    });
    let (python, js) = (PYTHON_SDK.1, JS_SDK.1);
    let expected = [
        format!("langgraph-sdk=={python} @langchain/langgraph-sdk@{js} true"),
        format!("langgraph-sdk>={python} @langchain/langgraph-sdk@2.0.0 false"),
        format!("langgraph-sdk>={python}.dev0 @langchain/langgraph-sdk@2.1.0-rc.1 false"),
    ];
    assert_eq!(shown, expected);
}
