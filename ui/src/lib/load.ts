/** What a screen asks for beside the stream. */
import { useEffect, useState } from 'preact/hooks'
import { epoch } from '../state/store'
import { get, token } from './api'

export interface Loaded<T> {
  data: T | null
  error: Error | null
  again: () => void
}

/** Loads `path` now, again when `version` changes (at most once a second), and after a reconnect. What was there stays until the new is. */
export function useLoad<T>(path: string, version: unknown = 0, load: (signal: AbortSignal) => Promise<T> = (signal) => get<T>(path, signal)): Loaded<T> {
  const [state, setState] = useState<{ path: string; data: T | null; error: Error | null }>({ path, data: null, error: null })
  const [asked, setAsked] = useState(0)
  useEffect(() => {
    const abort = new AbortController()
    // Changes come in bursts: the first is followed at once, the rest together.
    const timer = setTimeout(
      () => {
        load(abort.signal).then(
          (data) => setState({ path, data, error: null }),
          (error: unknown) => {
            if (!abort.signal.aborted) setState((old) => ({ path, data: old.path === path ? old.data : null, error: error instanceof Error ? error : new Error(String(error)) }))
          },
        )
      },
      state.path === path && state.data ? 400 : 0,
    )
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [path, version, asked, epoch.value, token.value])
  const here = state.path === path
  return { data: here ? state.data : null, error: here ? state.error : null, again: () => setAsked((n) => n + 1) }
}
