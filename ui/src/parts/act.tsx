/** Doing something: what it would do, then the doing, then taking it back. */
import { signal } from '@preact/signals'
import { useMemo, useState } from 'preact/hooks'
import { ApiError, call, setToken, token } from '../lib/api'
import { duration, parseDuration, percent } from '../lib/format'
import { type Act, type Request, type Values, curl } from '../state/acts'
import type { Shift } from '../state/share'
import { rev, tickNo } from '../state/store'
import { STRATEGIES } from '../state/words'
import { Command } from './bits'
import { Dialog } from './dialog'
import { Icon } from './icon'
import { toast } from './toast'

/** The act that is asked about now. */
export const asked = signal<Act | null>(null)
/** Several acts of one thing, to choose from. */
export const choosing = signal<{ title: string; acts: Act[] } | null>(null)
/** The token is asked for by itself. */
export const askingToken = signal(false)

export function ask(act: Act): void {
  choosing.value = null
  asked.value = act
}

export function choose(title: string, acts: Act[]): void {
  choosing.value = { title, acts }
}

export function Acts() {
  if (asked.value) return <Ask key={asked.value.title} act={asked.value} />
  if (choosing.value) return <Choose {...choosing.value} />
  if (askingToken.value) return <TokenDialog />
  return null
}

const ICONS: Record<string, string> = { drain: 'drain', undrain: 'undrain', maintenance: 'wrench', 'end-maintenance': 'play', weight: 'weight', check: 'refresh', deregister: 'trash', 'force-open': 'breaker-open', 'force-close': 'breaker-closed', reset: 'undo', strategy: 'balancer', reload: 'refresh', 'process-start': 'play', 'process-stop': 'stop', 'process-restart': 'refresh' }

export function actIcon(act: Act): string {
  return ICONS[act.key] ?? 'chevron'
}

function Choose({ title, acts }: { title: string; acts: Act[] }) {
  return (
    <Dialog title={title} onClose={() => (choosing.value = null)} kind="small">
      <ul class="choices">
        {acts.map((act) => (
          <li key={act.key}>
            <button type="button" class={act.tone ?? ''} onClick={() => ask(act)}>
              <Icon name={actIcon(act)} />
              <span>{act.verb}</span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}

/** Buttons of acts that stand on a screen. */
export function ActButtons({ acts }: { acts: Act[] }) {
  return (
    <>
      {acts.map((act) => (
        <button key={act.key} type="button" class={`button ${act.tone ?? ''}`} onClick={() => ask(act)}>
          <Icon name={actIcon(act)} size={14} />
          {act.verb}
        </button>
      ))}
    </>
  )
}

const TTLS = [60_000, 300_000, 900_000, 3_600_000]

function Ask({ act }: { act: Act }) {
  const [values, setValues] = useState<Values>(() => ({ ttl: null, reason: '', weight: 1, strategy: 'health_based', ...act.initial }))
  const [ttlText, setTtlText] = useState(() => (act.initial?.ttl ? duration(act.initial.ttl) : ''))
  const [typed, setTyped] = useState('')
  const [sure, setSure] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError | null>(null)
  // The effect is about now: it follows the traffic while the question stands.
  void rev.value
  void tickNo.value
  const effect = act.effect(values)
  const refused = act.refuse?.() ?? null
  const ttlWrong = ttlText.trim() !== '' && parseDuration(ttlText) === null
  const weightWrong = act.fields.includes('weight') && !(Number.isInteger(values.weight) && values.weight >= 0 && values.weight <= 65_535)
  const needsToken = !token.value
  const request = act.request(values)
  const undo = useMemo(() => act.undo(values, undefined), [act, values])
  const set = (change: Partial<Values>): void => {
    setValues((old) => ({ ...old, ...change }))
    setError(null)
  }
  const close = (): void => {
    asked.value = null
  }
  const blocked = busy || refused !== null || ttlWrong || weightWrong || (effect.grave === true && !sure) || (needsToken && !typed.trim())

  const run = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (blocked) return
    setBusy(true)
    setError(null)
    const fresh = needsToken ? typed.trim() : ''
    if (fresh) setToken(fresh)
    try {
      const before = await act.before?.()
      const answer = await call(request.method, request.path, request.body)
      const back = act.undo(values, before)
      toast({ text: act.done(values, answer), tone: 'ok', ...(typeof back === 'string' ? {} : { undo: () => takeBack(act, back) }) })
      close()
    } catch (reason) {
      const failed = reason instanceof ApiError ? reason : new ApiError(0, { title: String(reason) })
      // A token that is not known is not kept.
      if (failed.status === 401) setToken('')
      setError(failed)
      setBusy(false)
    }
  }

  return (
    <Dialog title={act.title} onClose={close} kind="act">
      <form class="act-form" onSubmit={(event) => void run(event)}>
        {refused ? (
          <div class="notice warn">
            <Icon name="triangle" />
            <div>{refused}</div>
          </div>
        ) : (
          <div class={`effect ${effect.tone ?? ''}`} data-effect aria-live="polite">
            <p>
              {effect.tone === 'bad' && <Icon name="octagon" size={14} />} {effect.text}
            </p>
            {effect.shifts && effect.shifts.length > 1 && <Shifts shifts={effect.shifts} />}
          </div>
        )}
        {act.fields.includes('strategy') && (
          <fieldset class="strategies">
            <legend>Strategy</legend>
            {Object.entries(STRATEGIES).map(([id, { name, about }]) => (
              <label key={id} class={values.strategy === id ? 'chosen' : ''}>
                <input type="radio" name="strategy" value={id} checked={values.strategy === id} onChange={() => set({ strategy: id })} />
                <span>
                  <strong>{name}</strong>
                  <small>{about}</small>
                </span>
              </label>
            ))}
          </fieldset>
        )}
        {act.fields.includes('weight') && (
          <label class="field">
            <span>Weight</span>
            <input type="number" min={0} max={65535} step={1} value={values.weight} aria-invalid={weightWrong} onInput={(event) => set({ weight: event.currentTarget.value === '' ? Number.NaN : Number(event.currentTarget.value) })} />
            {weightWrong && <em>a whole number from 0 to 65535</em>}
          </label>
        )}
        {act.fields.includes('ttl') && (
          <div class="field">
            <label for="act-ttl">For</label>
            <div class="ttl">
              <input
                id="act-ttl"
                type="text"
                placeholder="no limit"
                value={ttlText}
                aria-invalid={ttlWrong}
                autocomplete="off"
                onInput={(event) => {
                  const text = event.currentTarget.value
                  setTtlText(text)
                  set({ ttl: parseDuration(text) })
                }}
              />
              {TTLS.map((ms) => (
                <button
                  key={ms}
                  type="button"
                  class="button small"
                  aria-pressed={values.ttl === ms}
                  onClick={() => {
                    setTtlText(duration(ms))
                    set({ ttl: ms })
                  }}
                >
                  {duration(ms)}
                </button>
              ))}
            </div>
            {ttlWrong && <em>a duration, such as 90s, 15m or 2h</em>}
          </div>
        )}
        {act.fields.includes('reason') && (
          <label class="field">
            <span>Reason</span>
            <input type="text" value={values.reason} maxLength={200} placeholder="told to everybody who looks" autocomplete="off" onInput={(event) => set({ reason: event.currentTarget.value })} />
          </label>
        )}
        {effect.grave && (
          <label class="sure">
            <input type="checkbox" checked={sure} onChange={(event) => setSure(event.currentTarget.checked)} />
            <span>I know what this does to the traffic</span>
          </label>
        )}
        {needsToken && <TokenField value={typed} onInput={setTyped} />}
        {error && <Refusal error={error} />}
        <details class="same">
          <summary>The same from a shell</summary>
          <Command label="ellie" text={act.cli(values)} />
          <Command label="curl" text={curl(request)} />
        </details>
        <footer class="dialog-foot">
          <span class="undo-note">
            <Icon name="undo" size={12} />
            {typeof undo === 'string' ? undo : 'Can be undone afterwards.'}
          </span>
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={`button primary ${act.tone ?? ''}`} disabled={blocked}>
            {busy ? 'Asking …' : act.verb}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}

async function takeBack(act: Act, request: Request): Promise<void> {
  try {
    await call(request.method, request.path, request.body)
    toast({ text: `Taken back: ${act.title}`, tone: 'ok' })
  } catch (reason) {
    toast({ text: `Not taken back: ${reason instanceof Error ? reason.message : String(reason)}`, tone: 'bad' })
  }
}

function Refusal({ error }: { error: ApiError }) {
  const { problem } = error
  return (
    <div class="notice bad" role="alert">
      <Icon name="octagon" />
      <div>
        <strong>{problem.title ?? 'It was refused'}</strong>
        <div>{problem.detail}</div>
        {problem.errors?.map((fault) => (
          <div key={fault.field}>
            <code>{fault.field}</code> {fault.message}
          </div>
        ))}
      </div>
    </div>
  )
}

const MOST_SHIFTS = 8

function Shifts({ shifts }: { shifts: Shift[] }) {
  const moved = [...shifts].sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || b.after - a.after)
  const shown = moved.slice(0, MOST_SHIFTS)
  const most = Math.max(0.01, ...shifts.map((s) => Math.max(s.before, s.after)))
  return (
    <table class="shifts">
      <thead>
        <tr>
          <th>Share of the traffic</th>
          <th class="end">now</th>
          <th class="end">after</th>
          <th>
            <span class="offscreen">as bars</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((s) => (
          <tr key={s.id}>
            <td>{s.id}</td>
            <td class="end num">{percent(s.before)}</td>
            <td class="end num">
              <strong>{percent(s.after)}</strong>
            </td>
            <td>
              <span class="shift-bar" aria-hidden="true">
                <span class="was" style={{ width: `${(s.before / most) * 100}%` }} />
                <span class="will" style={{ width: `${(s.after / most) * 100}%` }} />
              </span>
            </td>
          </tr>
        ))}
        {shifts.length > MOST_SHIFTS && (
          <tr>
            <td colSpan={4} class="dim">
              and {shifts.length - MOST_SHIFTS} more
            </td>
          </tr>
        )}
      </tbody>
    </table>
  )
}

function TokenField({ value, onInput }: { value: string; onInput: (value: string) => void }) {
  return (
    <label class="field">
      <span>Token</span>
      <input type="password" name="ellie-token" value={value} placeholder="paste a token of the scope operate" autocomplete="off" spellcheck={false} onInput={(event) => onInput(event.currentTarget.value)} />
      <small>
        Kept for this tab only, sent in a header, never in an address. The operator’s is in <code>operator.token</code> of the data directory; with <code>--ephemeral</code> it was printed at the start.
      </small>
    </label>
  )
}

/** The token by itself: to act later, or because reading needs one. */
function TokenDialog() {
  const [typed, setTyped] = useState('')
  const close = (): void => {
    askingToken.value = false
  }
  return (
    <Dialog title={token.value ? 'Token' : 'Paste a token'} onClose={close} kind="small">
      <form
        class="act-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (typed.trim()) setToken(typed.trim())
          close()
        }}
      >
        {token.value ? <p>A token is kept in this tab. It is gone when the tab is closed, or now.</p> : <TokenField value={typed} onInput={setTyped} />}
        {!token.value && <Command label="where" text="cat ellie-data/operator.token" />}
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          {token.value ? (
            <button
              type="button"
              class="button danger"
              onClick={() => {
                setToken('')
                close()
              }}
            >
              Forget it
            </button>
          ) : (
            <button type="submit" class="button primary" disabled={!typed.trim()}>
              Use it
            </button>
          )}
        </footer>
      </form>
    </Dialog>
  )
}
