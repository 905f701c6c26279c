//! The commands that ask a running node.

use std::io;
use std::thread;

use serde_json::{Value, json};
use zonesync::admin::{
    Action, Answer, Client, Credential, EntityText, ErrorCode, KeyText, PAGE_MAX, Request,
    default_folder, parse_position,
};
use zonesync::core::entity::Kind;
use zonesync::core::time::Duration;

use crate::args::{Ask, Common, Show, Shown};
use crate::failure::Failure;
use crate::screen::{Screen, Style, clean, thousands};
use crate::status;
use crate::table::{Cell, Table};

/// How long `status --watch` rests between two looks.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Carries out one command against a running node.
pub(crate) fn ask(question: &Ask, common: &Common, screen: &mut Screen) -> Result<(), Failure> {
    let mut node = Node::find(common)?;
    match question {
        Ask::Status { zone: true, .. } => show_zone(&mut node, screen),
        Ask::Status { watch: false, .. } => show_status(&mut node, screen),
        Ask::Status { watch: true, .. } => watch_status(&mut node, screen),
        Ask::List { kind, limit, all, show } => {
            list(&mut node, screen, *kind, (!all).then_some(*limit), show)
        }
        Ask::Get { kind, id, scope, subscription, show } => {
            let request = Request::Get {
                kind: kind.to_string(),
                id: id.clone(),
                scope: scope.clone(),
                subscription: subscription.clone(),
                payload: show.payload,
            };
            let (entities, _) = node.page(&request)?;
            if entities.is_empty() {
                return Err(Failure::NotThere(format!("no {kind} has the id {id}")));
            }
            show_entities(screen, &entities, show)
        }
        Ask::Lookup { api, credential, plan, show } => {
            let request = Request::Lookup {
                api: api.clone(),
                credential: read_credential(credential)?,
                plan: plan.clone(),
                payload: show.payload,
            };
            lookup(&mut node, screen, &request)
        }
        Ask::Watch { since, show } => watch(&mut node, screen, since.clone(), show),
        Ask::ConfirmRemoval { token } => {
            let request = Request::ConfirmRemoval { token: token.clone() };
            let otherwise = "no removals with this token are held; `zonesync status` shows those \
                             that are";
            wish(&mut node, screen, &request, "confirmed: the removals pass", otherwise)
        }
        Ask::StepDown => {
            let otherwise = "the node is not primary; `zonesync status` shows which one is";
            wish(&mut node, screen, &Request::StepDown, "stepped down", otherwise)
        }
    }
}

/// A running node, at the other end of its socket.
pub(crate) struct Node(Client);

impl Node {
    pub(crate) fn find(common: &Common) -> Result<Self, Failure> {
        let path = match &common.socket {
            Some(path) => path.clone(),
            None => match &mut Client::find()[..] {
                [] => return Err(Failure::NoAnswer(how_to_start())),
                [path] => std::mem::take(path),
                several => {
                    let list: String =
                        several.iter().map(|path| format!("\n  {}", path.display())).collect();
                    let text = format!("several nodes answer; name one with --socket:{list}");
                    return Err(Failure::Usage(text));
                }
            },
        };
        Client::connect(&path).map(Self).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => how_to_start(),
                io::ErrorKind::PermissionDenied => "ask as the user that runs the node".into(),
                _ => return Failure::NoAnswer(format!("{}: {error}", path.display())),
            };
            Failure::NoAnswer(format!("no node answers at {}: {error}\n{advice}", path.display()))
        })
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.0.ask(request).map_err(hung_up)?;
        self.next()
    }

    fn next(&mut self) -> Result<Answer, Failure> {
        match self.0.answer().map_err(hung_up)? {
            Some(Answer::Error { code: ErrorCode::Stopped, message }) => {
                Err(Failure::NoAnswer(clean(&message)))
            }
            Some(Answer::Error { message, .. }) => Err(Failure::Refused(clean(&message))),
            Some(answer) => Ok(answer),
            None => Err(Failure::NoAnswer("the node has gone".into())),
        }
    }

    /// Asks for entities. Gives them, and whether there are more.
    fn page(&mut self, request: &Request) -> Result<(Vec<EntityText>, bool), Failure> {
        let mut answer = self.ask(request)?;
        let mut entities = Vec::new();
        loop {
            match answer {
                Answer::Entity(entity) => entities.push(entity),
                Answer::End { more, .. } => return Ok((entities, more)),
                other => return Err(unexpected(&other)),
            }
            answer = self.next()?;
        }
    }

    fn status(&mut self) -> Result<Value, Failure> {
        match self.ask(&Request::Status)? {
            Answer::Status { status } => Ok(status),
            other => Err(unexpected(&other)),
        }
    }
}

/// The way to the node broke. Said apart from our own output, whose reader may go as it likes.
fn hung_up(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Failure::Refused("the node does not answer in time".into())
        }
        _ => Failure::Refused(format!("the node's answer broke off: {error}")),
    }
}

pub(crate) fn unexpected(answer: &Answer) -> Failure {
    let value = serde_json::to_value(answer).unwrap_or_default();
    let kind = value.get("answer").and_then(Value::as_str).unwrap_or("nothing");
    Failure::Refused(format!("the node answered {kind}, which this command does not expect"))
}

fn how_to_start() -> String {
    format!(
        "no running node was found in {}\n  \
         start one      zonesync run --config gravitee.yml\n  \
         see one work   zonesync demo\n  \
         name one       --socket PATH, as its log says at the start",
        default_folder().display()
    )
}

fn show_status(node: &mut Node, screen: &mut Screen) -> Result<(), Failure> {
    let status = node.status()?;
    if screen.json {
        screen.document(&status)?
    } else {
        status::print(&status, screen)?
    }
    if status["ready"] == json!(true) { Ok(()) } else { Err(Failure::NotThere(String::new())) }
}

fn show_zone(node: &mut Node, screen: &mut Screen) -> Result<(), Failure> {
    let status = node.status()?;
    let nodes = &status["zone_nodes"];
    if screen.json {
        screen.document(nodes)?;
    } else {
        status::print_zone(&status, screen)?;
    }
    let nodes = nodes.as_array().map_or(&[][..], Vec::as_slice);
    match nodes.iter().any(|node| node["agrees"] == json!(false)) {
        false => Ok(()),
        true => Err(Failure::NotThere("nodes at one position hold different states".into())),
    }
}

fn watch_status(node: &mut Node, screen: &mut Screen) -> Result<(), Failure> {
    loop {
        let status = node.status()?;
        if screen.json {
            screen.document(&status)?;
        } else if screen.is_live() {
            screen.clear()?;
            status::print(&status, screen)?;
        } else {
            screen.line(&status::headline(&status, screen))?;
        }
        screen.flush()?;
        thread::sleep(WATCH_PAUSE);
    }
}

fn list(
    node: &mut Node,
    screen: &mut Screen,
    kind: Kind,
    limit: Option<usize>,
    show: &Show,
) -> Result<(), Failure> {
    let (mut listed, mut after): (usize, Option<KeyText>) = (0, None);
    loop {
        let left = limit.map_or(PAGE_MAX, |limit| limit - listed);
        if left == 0 {
            return Ok(());
        }
        let request = Request::List {
            kind: kind.to_string(),
            limit: left.min(PAGE_MAX),
            after: after.take(),
            payload: show.payload,
        };
        let (entities, more) = node.page(&request)?;
        show_entities(screen, &entities, show)?;
        listed += entities.len();
        after = entities.last().map(EntityText::key);
        if !more || after.is_none() {
            break;
        }
        if limit == Some(listed) {
            eprintln!("there are more; --all lists them, --limit N more of them");
            return Ok(());
        }
        if screen.is_live() {
            eprint!("\r{} listed\r", thousands(listed as u64));
        }
    }
    if listed == 0 && !screen.json {
        eprintln!("no {kind}");
    }
    Ok(())
}

fn show_entities(screen: &mut Screen, list: &[EntityText], show: &Show) -> Result<(), Failure> {
    if screen.json {
        return Ok(list.iter().try_for_each(|entity| screen.document(entity))?);
    }
    if show.payload {
        return list.iter().try_for_each(|entity| show_payload(screen, entity));
    }
    if list.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["KIND", "SCOPE", "ID", "SUBSCRIPTION", "BYTES", "ABOUT"]);
    for entity in list {
        table.row(vec![
            entity.kind.as_str().into(),
            entity.scope.as_str().into(),
            Cell::new(&entity.id, Style::Strong),
            entity.subscription.as_str().into(),
            Cell::number(entity.size as u64),
            entity.label.as_str().into(),
        ]);
    }
    Ok(table.print(screen)?)
}

fn show_payload(screen: &mut Screen, entity: &EntityText) -> Result<(), Failure> {
    let parts = [&entity.kind, &entity.scope, &entity.id, &entity.subscription];
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(|p| clean(p)).collect();
    screen.line(&screen.paint(&parts.join(" "), Style::Strong))?;
    match (&entity.payload, &entity.payload_base64) {
        // Line by line: a payload that is no JSON may hold anything.
        (Some(text), _) => Ok(pretty(text).lines().try_for_each(|l| screen.line(&clean(l)))?),
        (None, Some(base64)) => Ok(screen.line(&format!("base64 {base64}"))?),
        (None, None) => Ok(()),
    }
}

/// Lays JSON out for reading; leaves everything else as it is.
fn pretty(text: &str) -> String {
    let laid_out =
        serde_json::from_str::<Value>(text).and_then(|v| serde_json::to_string_pretty(&v));
    laid_out.unwrap_or_else(|_| text.into())
}

fn read_credential(shown: &Shown) -> Result<Credential, Failure> {
    let read = |value: &String| {
        if value != "-" {
            return Ok(value.clone());
        }
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok::<_, Failure>(line.trim_end_matches(['\r', '\n']).into())
    };
    match shown {
        Shown { key: Some(key), .. } => read(key).map(Credential::Key),
        Shown { md5: Some(md5), .. } => Ok(Credential::Md5(read(md5)?.to_ascii_lowercase())),
        Shown { client: Some(client), .. } => read(client).map(Credential::Client),
        Shown { certificate: Some(thumb), .. } => read(thumb).map(Credential::Certificate),
        _ => {
            Err(Failure::Usage("one of --key, --md5, --client and --certificate is needed".into()))
        }
    }
}

fn lookup(node: &mut Node, screen: &mut Screen, request: &Request) -> Result<(), Failure> {
    let answer = node.ask(request)?;
    if screen.json {
        screen.document(&answer)?;
    }
    match answer {
        Answer::Found { subscription, plan, application, position, payload } => {
            if screen.json {
                return Ok(());
            }
            screen.line(&screen.paint("found", Style::Good))?;
            let application = application.unwrap_or_default();
            let facts = [
                ("subscription", clean(&subscription)),
                ("plan", clean(&plan)),
                ("application", clean(&application)),
                ("position", short(&position)),
            ];
            for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
                screen.line(&format!("  {name:<13} {value}"))?;
            }
            let payload = payload.as_deref().map(pretty).unwrap_or_default();
            Ok(payload.lines().try_for_each(|line| screen.line(&clean(line)))?)
        }
        Answer::Nothing { position } => {
            let text = format!("nothing matches at position {}", short(&position));
            Err(Failure::NotThere(text))
        }
        other => Err(unexpected(&other)),
    }
}

fn watch(
    node: &mut Node,
    screen: &mut Screen,
    since: Option<String>,
    show: &Show,
) -> Result<(), Failure> {
    let mut answer = node.ask(&Request::Watch { since, payload: show.payload })?;
    loop {
        if screen.json {
            screen.document(&answer)?;
        } else {
            match &answer {
                Answer::Watching { position } => eprintln!("changes after {}", clean(position)),
                Answer::Change { position, action, entity } => {
                    let (word, style) = match action {
                        Action::Deploy => ("deploy  ", Style::Good),
                        Action::Undeploy => ("undeploy", Style::Warn),
                    };
                    let parts = [
                        &entity.kind,
                        &entity.scope,
                        &entity.id,
                        &entity.subscription,
                        &entity.label,
                    ];
                    let parts: Vec<_> =
                        parts.iter().filter(|part| !part.is_empty()).map(|p| clean(p)).collect();
                    let (position, word) = (short(position), screen.paint(word, style));
                    screen.line(&format!("{position:<10} {word} {}", parts.join(" ")))?;
                    if let Some(payload) = &entity.payload {
                        pretty(payload).lines().try_for_each(|line| screen.line(&clean(line)))?;
                    }
                }
                other => return Err(unexpected(other)),
            }
        }
        screen.flush()?;
        answer = node.next()?;
    }
}

/// Asks for something that is either done or has nothing to be done to.
fn wish(
    node: &mut Node,
    screen: &mut Screen,
    request: &Request,
    done: &str,
    otherwise: &str,
) -> Result<(), Failure> {
    let answer = node.ask(request)?;
    if screen.json {
        screen.document(&answer)?;
    }
    match answer {
        Answer::Done { done: true } if screen.json => Ok(()),
        Answer::Done { done: true } => Ok(screen.line(done)?),
        Answer::Done { done: false } => Err(Failure::NotThere(otherwise.into())),
        other => Err(unexpected(&other)),
    }
}

/// Shortens a position for reading: `e7-s1042`.
pub(crate) fn short(position: &str) -> String {
    parse_position(position).map_or_else(|| clean(position), |position| position.to_string())
}
