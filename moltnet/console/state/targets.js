// Where a message goes that is written in a conversation.

import { route } from "../lib/router.js";
import { humanId } from "../lib/texts.js";
import { model } from "./model.js";

/** The target of a message there; what begins a conversation is told by the query of its address. */
export function targetOf({ kind, id }) {
  if (kind === "room") return { kind, room_id: id };
  if (kind === "thread") {
    const known = model.threads.get(id);
    const parent = known ? known.parent_message_id : route.query.get("parent");
    const roomId = known?.room_id ?? route.query.get("room");
    return { kind, room_id: roomId, thread_id: id, ...(parent && { parent_message_id: parent }) };
  }
  const others = (route.query.get("with") ?? "").split(",").filter(Boolean);
  const participants = model.dms.get(id)?.participant_ids ?? [humanId(model.settings.name), ...others];
  return { kind, dm_id: id, participant_ids: participants };
}
