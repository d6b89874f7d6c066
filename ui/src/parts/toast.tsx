/** What was just done, for a while, with the way back. */
import { signal } from '@preact/signals'
import { Icon } from './icon'

interface Note {
  text: string
  tone: 'ok' | 'bad'
  undo?: () => Promise<void>
}

const notes = signal<(Note & { id: number })[]>([])
const LASTS = 12_000
const LASTS_WITH_UNDO = 30_000
let next = 1

export function toast(note: Note): void {
  const id = next++
  notes.value = [...notes.value, { ...note, id }].slice(-4)
  setTimeout(() => drop(id), note.undo ? LASTS_WITH_UNDO : LASTS)
}

function drop(id: number): void {
  notes.value = notes.value.filter((note) => note.id !== id)
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {notes.value.map((note) => (
        <div key={note.id} class={`toast ${note.tone}`}>
          <Icon name={note.tone === 'ok' ? 'check' : 'octagon'} />
          <span class="toast-text">{note.text}</span>
          {note.undo && (
            <button
              type="button"
              class="button small"
              onClick={() => {
                drop(note.id)
                void note.undo?.()
              }}
            >
              <Icon name="undo" size={12} /> Undo
            </button>
          )}
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => drop(note.id)}>
            <Icon name="close" size={12} />
          </button>
        </div>
      ))}
    </div>
  )
}
