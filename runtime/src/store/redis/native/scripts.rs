//! The steps as scripts. Each says in its first lines what it wants and gives.
//!
//! What several scripts need stands in `scripts/lib_*.lua` and is put before them when this is
//! compiled. All keys come in KEYS; no script makes one up.
//!
//! A server that is full asks at the first write of a script whether there is room, see
//! `scripts/lib_fence.lua`: so do steps pass that must. From Redis 7 on what elects and reports says so
//! in its first line, too.

use super::super::connection::Script;

/// Joins the named parts with the script of the same name.
macro_rules! script {
    ($name:literal: $($part:literal)*) => {
        Script::new(
            $name,
            concat!(
                $(include_str!(concat!("scripts/lib_", $part, ".lua")), "\n",)*
                include_str!(concat!("scripts/", $name, ".lua"))
            ),
        )
    };
}

pub(super) static LOOK: Script = script!("look": "position" "fence" "wake" "reports");
pub(super) static REPORT: Script = script!("report": "position" "fence" "reports").allow_oom();
pub(super) static ACQUIRE: Script = script!("acquire": "position" "wake" "reports").allow_oom();
pub(super) static RENEW: Script = script!("renew": "position" "fence" "reports" "head").allow_oom();
pub(super) static RELEASE: Script = script!("release": "wake");
pub(super) static WATCH: Script = script!("watch": "position" "wake");
pub(super) static RAISE: Script = script!("raise": "position" "fence" "wake" "head").allow_oom();
pub(super) static PUBLISH: Script = script!("publish": "position" "fence" "wake" "head");
pub(super) static WRITE_HEAD: Script = script!("write_head": "position" "fence" "wake" "head");
pub(super) static READ: Script = script!("read": "position");
pub(super) static BEGIN_SNAPSHOT: Script = script!("begin_snapshot": "position" "fence" "sets");
pub(super) static PUT_CHUNK: Script = script!("put_chunk": "position" "fence" "sets");
pub(super) static COMMIT_SNAPSHOT: Script =
    script!("commit_snapshot": "position" "fence" "wake" "head" "sets");
pub(super) static TRIM: Script = script!("trim": "position" "fence" "reports" "sets");
pub(super) static SWEEP: Script = script!("sweep": "position" "fence" "sets");
