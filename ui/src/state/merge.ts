/** What the stream has told so far, as plain data: the shared worker keeps it for tabs that open later. */
import type { Delta, Snapshot } from '../lib/types'

/** Applies a delta in place. */
export function merge(state: Snapshot, delta: Delta): void {
  state.index = delta.index
  state.at = delta.at
  if (delta.mode) state.mode = delta.mode
  if (delta.routes) state.routes = delta.routes
  if (delta.breakerConfig) state.breakerConfig = delta.breakerConfig
  if (delta.processes) state.processes = delta.processes
  if (delta.providers) state.providers = delta.providers
  if (delta.lastEventId !== undefined) state.lastEventId = delta.lastEventId
  const services = (state.services ??= {})
  for (const name of delta.removed ?? []) delete services[name]
  for (const [name, change] of Object.entries(delta.services ?? {})) {
    const { instances, removed, ...fields } = change
    const service = (services[name] ??= {})
    Object.assign(service, fields)
    const all = (service.instances ??= {})
    for (const id of removed ?? []) delete all[id]
    Object.assign(all, instances)
  }
}
