//! One connection: reads requests, within bounds of size and time, and answers them in order.
//!
//! Nothing that a client sends or leaves out keeps a connection longer than its limits say, save a
//! watch, which lasts as long as the client takes in what it is told.

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, ID_MAX};
use zonesync_core::time::{Duration, Instant};

use super::protocol::{Action, Answer, EntityText, ErrorCode, PAGE_MAX, Request};
use super::protocol::{parse_position, position_text};
use super::server::Limits;
use super::{Admin, Changes, Get, Item, Page, label};
use crate::image::Verified;
use crate::runtime::Runtime;
use crate::state::{FeedError, Step};

/// How long one turn of a watch waits for a change.
const WATCH_TURN: Duration = Duration::from_millis(500);

/// Answers are sent when they reach this many bytes, and at the end.
const SEND_AT: usize = 64 << 10;

pub(super) struct Connection {
    stream: Async<UnixStream>,
    /// What was received and not yet understood.
    received: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    limits: Limits,
    node: Arc<dyn Admin>,
    runtime: Arc<dyn Runtime>,
}

/// What reading a request came to.
enum Line {
    Complete(Vec<u8>),
    TooLong,
    Late,
    Closed,
}

/// What a request is answered with.
enum Reply {
    Answers(Vec<Answer>),
    Watch { start: String, feed: Box<dyn Changes>, payload: bool },
}

impl Connection {
    pub(super) fn new(
        stream: Async<UnixStream>,
        limits: Limits,
        node: Arc<dyn Admin>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self { stream, received: Vec::new(), out: Vec::new(), limits, node, runtime }
    }

    /// Answers until the client goes or breaks a limit.
    pub(super) async fn run(mut self) {
        // An error here is the client's going, or its not reading: nobody is left to tell.
        let _ = self.answer_all().await;
    }

    async fn answer_all(&mut self) -> io::Result<()> {
        loop {
            let line = match self.line().await? {
                Line::Complete(line) => line,
                Line::TooLong => {
                    let most = self.limits.request;
                    let message =
                        format!("a request has at most {most} bytes and ends in a newline");
                    return self.last(ErrorCode::TooLong, message).await;
                }
                Line::Late => {
                    let message = "a request that was begun did not end in time".into();
                    return self.last(ErrorCode::Timeout, message).await;
                }
                Line::Closed => return Ok(()),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.reply(line).await {
                Reply::Answers(answers) => {
                    for answer in answers {
                        self.send(&answer).await?;
                    }
                    self.flush().await?;
                }
                Reply::Watch { start, feed, payload } => {
                    self.send(&Answer::Watching { position: start }).await?;
                    self.flush().await?;
                    return self.watch(feed, payload).await;
                }
            }
        }
    }

    /// Reads up to the next newline. Text before the end of the stream counts as a line, too.
    async fn line(&mut self) -> io::Result<Line> {
        let mut begun: Option<Instant> = None;
        let mut searched = 0;
        loop {
            if let Some(at) = self.received[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.received.split_off(searched + at + 1);
                return Ok(Line::Complete(std::mem::replace(&mut self.received, rest)));
            }
            searched = self.received.len();
            if searched >= self.limits.request {
                return Ok(Line::TooLong);
            }
            let patience = match (searched, begun) {
                (0, _) => self.limits.idle,
                (_, None) => {
                    begun = Some(self.runtime.now());
                    self.limits.line
                }
                (_, Some(begun)) => {
                    self.limits.line.saturating_sub(self.runtime.now().since(begun))
                }
            };
            let mut chunk = [0; 4096];
            let room = chunk.len().min(self.limits.request - searched);
            let read = async { self.stream.read(&mut chunk[..room]).await.map(Some) };
            let late = async {
                self.runtime.sleep(patience).await;
                Ok(None)
            };
            match future::or(read, late).await? {
                Some(0) if searched > 0 => {
                    return Ok(Line::Complete(std::mem::take(&mut self.received)));
                }
                Some(0) => return Ok(Line::Closed),
                Some(length) => self.received.extend_from_slice(&chunk[..length]),
                None if searched > 0 => return Ok(Line::Late),
                None => return Ok(Line::Closed),
            }
        }
    }

    /// Works a request out where it may take its time.
    async fn reply(&self, line: Vec<u8>) -> Reply {
        let node = self.node.clone();
        blocking::unblock(move || {
            let request = match serde_json::from_slice(&line) {
                Ok(request) => request,
                Err(why) => return refuse(format!("not a request: {why}")),
            };
            catch_unwind(AssertUnwindSafe(|| reply(&*node, request))).unwrap_or_else(|_| {
                let message = "the node failed while it worked out the answer".into();
                Reply::Answers(vec![Answer::Error { code: ErrorCode::Failed, message }])
            })
        })
        .await
    }

    /// Tells changes until the client goes or sends anything.
    async fn watch(&mut self, mut feed: Box<dyn Changes>, payload: bool) -> io::Result<()> {
        loop {
            let turn = blocking::unblock(move || {
                let step = catch_unwind(AssertUnwindSafe(|| feed.next(WATCH_TURN)));
                (feed, step)
            });
            let gone = async {
                let _ = (&self.stream).read(&mut [0; 16]).await;
                None
            };
            let Some((back, step)) = future::or(gone, async { Some(turn.await) }).await else {
                return Ok(());
            };
            feed = back;
            match step {
                Ok(Ok(Some(step))) => self.tell(step, payload).await?,
                Ok(Ok(None)) => {}
                Ok(Err(FeedError::Behind)) => {
                    let message = "the changes after this position are forgotten: list and start \
                                   over from the position that the list names";
                    return self.last(ErrorCode::Behind, message.into()).await;
                }
                Ok(Err(FeedError::Stopped)) => {
                    return self.last(ErrorCode::Stopped, "the node was stopped".into()).await;
                }
                Err(_) => {
                    let message = "the node failed while it waited for changes".into();
                    return self.last(ErrorCode::Failed, message).await;
                }
            }
        }
    }

    async fn tell(&mut self, step: Step, payload: bool) -> io::Result<()> {
        let position = position_text(step.position);
        for (key, content) in step.changes {
            let (action, entity) = match content {
                Some(bytes) => (Action::Deploy, Item::new(key.as_ref(), &bytes, payload).into()),
                None => (Action::Undeploy, EntityText::from_key(key.as_ref())),
            };
            self.send(&Answer::Change { position: position.clone(), action, entity }).await?;
        }
        self.flush().await
    }

    /// Says why the connection ends.
    async fn last(&mut self, code: ErrorCode, message: String) -> io::Result<()> {
        self.send(&Answer::Error { code, message }).await?;
        self.flush().await
    }

    async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, answer)?;
        self.out.push(b'\n');
        if self.out.len() >= SEND_AT { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        let late = async {
            self.runtime.sleep(self.limits.write).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        future::or((&self.stream).write_all(&out), late).await
    }
}

/// Answers one request.
fn reply(node: &dyn Admin, request: Request) -> Reply {
    let answers = match request {
        Request::Status => match serde_json::to_value(node.status()) {
            Ok(status) => vec![Answer::Status { status }],
            Err(why) => {
                vec![Answer::Error { code: ErrorCode::Failed, message: why.to_string() }]
            }
        },
        Request::List { kind, limit, after, payload } => {
            let kind = match kind.parse::<Kind>() {
                Ok(kind) => kind,
                Err(why) => return refuse(format!("kind {kind:?}: {why}")),
            };
            if limit == 0 || limit > PAGE_MAX {
                return refuse(format!("limit {limit}: a page has 1 to {PAGE_MAX} entities"));
            }
            let after = after.as_ref().map(|after| EntityKey {
                kind,
                scope: &after.scope,
                id: &after.id,
                subscription: &after.subscription,
            });
            page(node.list(kind, after, limit, payload))
        }
        Request::Get { kind, id, scope, subscription, payload } => {
            let kind = match kind.parse::<Kind>() {
                Ok(kind) => kind,
                Err(why) => return refuse(format!("kind {kind:?}: {why}")),
            };
            let longest = [Some(&id), scope.as_ref(), subscription.as_ref()];
            if longest.into_iter().flatten().any(|part| part.len() > ID_MAX) {
                return refuse(format!("an id has at most {ID_MAX} bytes"));
            }
            page(node.get(&Get { kind, id, scope, subscription }, payload))
        }
        Request::Lookup { api, credential, plan, payload } => {
            let looked = node.lookup(&api, &credential, plan.as_deref());
            let position = position_text(looked.position);
            vec![match looked.found {
                Some(found) => Answer::Found {
                    subscription: found.id,
                    plan: found.plan,
                    application: label::application(&found.payload),
                    position,
                    payload: payload.then(|| String::from_utf8_lossy(&found.payload).into()),
                },
                None => Answer::Nothing { position },
            }]
        }
        Request::Watch { since, payload } => {
            let since = match since.as_deref().map(|text| (text, parse_position(text))) {
                Some((text, None)) => {
                    return refuse(format!(
                        "since {text:?}: a position reads e<epoch>/t<32 hex digits>/s<sequence>"
                    ));
                }
                Some((_, position)) => position,
                None => None,
            };
            let (start, feed) = node.changes(since);
            return Reply::Watch { start: position_text(start), feed, payload };
        }
        Request::Verify => {
            let Verified { position, kinds } = node.verify();
            vec![Answer::Verified { position: position_text(position), kinds }]
        }
        Request::ConfirmRemoval { token } => {
            vec![Answer::Done { done: node.confirm_removal(&token) }]
        }
        Request::StepDown => vec![Answer::Done { done: node.step_down() }],
    };
    Reply::Answers(answers)
}

fn page(page: Page) -> Vec<Answer> {
    let end = Answer::End { position: position_text(page.position), more: page.more };
    page.items.into_iter().map(|item| Answer::Entity(item.into())).chain([end]).collect()
}

fn refuse(message: String) -> Reply {
    Reply::Answers(vec![Answer::Error { code: ErrorCode::BadRequest, message }])
}
