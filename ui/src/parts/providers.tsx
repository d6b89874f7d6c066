/** What else tells of instances: whether it can be followed, and what it could not take. */
import { count, int } from '../lib/format'
import { useLoad } from '../lib/load'
import { to } from '../lib/router'
import type { Provider } from '../lib/types'
import { providers } from '../state/store'
import type { Word } from '../state/words'
import { Ago, Facts, State } from './bits'

function wordOf(p: Provider): Word {
  if (p.up) return { word: 'followed', tone: 'ok', icon: 'check', rank: 2 }
  if (p.stale && p.lastSync) return { word: 'stale', tone: 'bad', icon: 'octagon', rank: 0 }
  return { word: 'not connected', tone: 'bad', icon: 'octagon', rank: 0 }
}

const SEVERITY: Record<string, Word> = {
  fault: { word: 'fault', tone: 'bad', icon: 'octagon', rank: 0 },
  warning: { word: 'warning', tone: 'warn', icon: 'triangle', rank: 1 },
  absent: { word: 'absent', tone: 'idle', icon: 'dashed', rank: 2 },
}

export function Providers() {
  const all = providers.value
  // The stream has the number of notes alone.
  const noted = all.reduce((sum, p) => sum + p.noteCount, 0)
  const { data } = useLoad<{ providers: Provider[] }>('providers', `${noted} ${all.map((p) => p.syncs).join()}`)
  if (all.length === 0) return null
  return (
    <section class="panel" aria-label="Providers">
      <h2>Providers</h2>
      {all.map((p) => {
        const notes = data?.providers.find((other) => other.name === p.name)?.notes ?? []
        const why = p.stale?.reason ?? p.error
        return (
          <div key={p.name} class="padded stack-tight">
            <div class="provider"><strong>{p.name}</strong> <State word={wordOf(p)} /> <code class="dim clip">{p.endpoint}</code></div>
            {!p.up && why && <p class="bad">{why}</p>}
            <Facts items={[['Instances', p.instances ? <a class="name" href={to(['services'], { view: 'instances', q: p.name })}>{int(p.instances)}</a> : '0'], ['Last told', p.lastSync ? <Ago at={p.lastSync} /> : 'never'], ['Told, failed', `${count(p.syncs, 'time')}, ${int(p.failures)}`], ...(p.stale ? [[p.lastSync ? 'Stale since' : 'Not connected since', <Ago at={p.stale.since} />] as [string, preact.ComponentChildren]] : [])]} />
            {notes.length > 0 && (
              <ul class="notes" aria-label={`Notes of ${p.name}`}>
                {notes.slice(0, 50).map((note) => (
                  <li key={note.id + note.message}><State word={SEVERITY[note.severity] ?? { word: note.severity, tone: 'info', icon: 'dashed', rank: 3 }} size={12} /> <span><strong>{note.subject}</strong> {note.message}</span></li>
                ))}
              </ul>
            )}
            {p.noteCount > 50 && <p class="dim">{int(p.noteCount - 50)} more: <code>curl …/providers</code></p>}
          </div>
        )
      })}
    </section>
  )
}
