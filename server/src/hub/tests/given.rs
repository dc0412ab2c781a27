//! Conversations that programs and agents begin for visitors, who may give one to whom, and labels
//! that change on all that have them.

use protocol::conversation::Role;
use protocol::ids::{AgentId, SiteId, TagId};
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};

use super::*;
use crate::auth::issue;
use crate::keys::uuid_v7;
use crate::store::{AgentRow, ConversationRow, Write};

/// What somebody begins for a visitor who is new.
pub(super) fn creation(hub: &Hub, site: SiteId, assignee: Option<AgentId>) -> Creation<'static> {
    Creation {
        conversation: ConversationId::from_uuid(uuid_v7(hub.times.now())),
        site,
        visitor: VisitorId::from_uuid(uuid_v7(hub.times.now())),
        is_known: false,
        form: vec![("email", "ada@example.test")],
        page: None,
        notice: None,
        locale: "en",
        message: MessageId::from_uuid(uuid_v7(hub.times.now())),
        text: Text::new("hello"),
        by_visitor: true,
        assignee,
        secret: issue("lhv_").hash,
        beside: Vec::new(),
    }
}

/// An admin and a plain agent, both there and available.
struct Team {
    stand: Stand,
    world: World,
    plain: AgentId,
}

impl Team {
    async fn new() -> Self {
        let (stand, world) = (Stand::new(), World::new(7));
        let plain = AgentId::from_bytes([9; 16]);
        world.settle(&*stand.store).await;
        let admin = world.agent_row();
        let other = AgentRow {
            agent: plain,
            email: Personal::new(String::from("plain@example.test")),
            role: Role::Agent,
            ..admin.clone()
        };
        for row in [admin, other] {
            stand.store.change(vec![Change::create(row)]).await.unwrap();
        }
        stand.hub.start().await.unwrap();
        let team = Self { stand, world, plain };
        for agent in [world.agent, plain] {
            let speaker = Person::new(&world, Self::who(agent)).speaker(&TestSink::new());
            let expires_at = team.stand.hub.times.now().plus_ms(60_000_000);
            team.stand.hub.presence().agent_connected(&speaker, expires_at).await.unwrap();
            let chosen = Availability::Available;
            team.stand.hub.acts().choose(world.tenant, agent, chosen, None).await.unwrap();
        }
        team
    }

    fn who(agent: AgentId) -> Who {
        Who::Agent { agent, session: SessionId::from_bytes([1; 16]) }
    }

    async fn begin(
        &self,
        who: Actor,
        assignee: Option<AgentId>,
    ) -> Result<ConversationRow, Reject> {
        let hub = &self.stand.hub;
        let new = creation(hub, self.world.site, assignee);
        let conversation = new.conversation;
        hub.conversations().create(self.world.tenant, who, new).await?;
        Ok(self.row(conversation).await)
    }

    async fn row(&self, conversation: ConversationId) -> ConversationRow {
        self.stand.store.conversation(self.world.tenant, conversation).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn whoever_is_named_gets_it_at_once_and_only_who_may_give_names_another() {
    let team = Team::new().await;
    let (admin, plain) = (team.world.agent, team.plain);
    let (by_admin, by_plain) = (Team::who(admin).into(), Team::who(plain).into());
    for (who, to) in
        [(Actor::Program, plain), (by_admin, plain), (by_plain, plain), (Actor::Program, admin)]
    {
        let row = team.begin(who, Some(to)).await.unwrap();
        assert_eq!((row.state, row.assignee), (ConversationState::Active, Some(to)), "{who:?}");
    }
    let refused = |outcome: Result<ConversationRow, Reject>| outcome.unwrap_err().code;
    assert_eq!(refused(team.begin(by_plain, Some(admin)).await), RejectCode::Forbidden);
    let stranger = AgentId::from_bytes([8; 16]);
    assert_eq!(refused(team.begin(Actor::Program, Some(stranger)).await), RejectCode::AtCapacity);
}

#[tokio::test]
async fn only_who_supervises_gives_what_another_has() {
    let team = Team::new().await;
    let (hub, tenant) = (&team.stand.hub, team.world.tenant);
    let (admin, plain) = (team.world.agent, team.plain);
    let conversation = team.begin(Actor::Program, Some(admin)).await.unwrap().conversation;
    let give = Act::GiveOver { conversation, from: admin, to: plain };
    let refused = hub.acts().run(tenant, Team::who(plain).into(), give).await.unwrap_err();
    assert_eq!(refused.code, RejectCode::Forbidden);
    assert_eq!(team.row(conversation).await.assignee, Some(admin));
    hub.acts().run(tenant, Actor::Program, give).await.unwrap();
    assert_eq!(team.row(conversation).await.assignee, Some(plain));
    let back = Act::GiveOver { conversation, from: plain, to: admin };
    hub.acts().run(tenant, Team::who(admin).into(), back).await.unwrap();
    assert_eq!(team.row(conversation).await.assignee, Some(admin));
}

#[tokio::test]
async fn a_label_that_changes_raises_the_version_of_all_that_have_it_live_or_not() {
    let (stand, world, tag) = (Stand::new(), World::new(7), TagId::from_bytes([5; 16]));
    let (tenant, live) = (world.tenant, world.conversation);
    world.settle(&*stand.store).await;
    let over = world.with_visitor(2);
    over.begin(&*stand.store).await;
    let other = world.with_visitor(3);
    other.begin(&*stand.store).await;
    for (world, state, tags) in [
        (&world, ConversationState::Queued, vec![tag]),
        (&over, ConversationState::Closed, vec![tag]),
        (&other, ConversationState::Queued, vec![]),
    ] {
        let row = ConversationRow { version: 2, state, tags, ..world.conversation_row() };
        stand.store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    }
    stand.hub.start().await.unwrap();
    let seen = async || {
        let mut seen = Vec::new();
        for conversation in [live, over.conversation, other.conversation] {
            let row = stand.store.conversation(tenant, conversation).await.unwrap().unwrap();
            seen.push((row.version, row.tags.len()));
        }
        seen
    };
    let before = seen().await;
    stand.hub.conversations().label_changed(tenant, tag, false).await.unwrap();
    let renamed = seen().await;
    assert_eq!(renamed, [(before[0].0 + 1, 1), (before[1].0 + 1, 1), before[2]]);
    stand.hub.conversations().label_changed(tenant, tag, true).await.unwrap();
    assert_eq!(seen().await, [(renamed[0].0 + 1, 0), (renamed[1].0 + 1, 0), before[2]]);
}
