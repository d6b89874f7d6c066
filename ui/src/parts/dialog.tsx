/** A window over the screen: the browser's own, with its focus and its Escape. */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { Icon } from './icon'

export function Dialog({ title, label, onClose, children, kind = '' }: { title?: string; label?: string; onClose: () => void; children: ComponentChildren; kind?: string }) {
  const element = useRef<HTMLDialogElement>(null)
  // At once, so that what is typed right after the key that opens it goes into it.
  useLayoutEffect(() => {
    const dialog = element.current
    const before = document.activeElement
    dialog?.showModal()
    return () => {
      dialog?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={element}
      class={kind}
      aria-label={title ?? label}
      onClose={onClose}
      onCancel={onClose}
      onClick={(event) => {
        if (event.target === element.current) onClose()
      }}
    >
      <div class="dialog-body">
        {title && (
          <header class="dialog-head">
            <h2>{title}</h2>
            <button type="button" class="icon-button" aria-label="Close" onClick={onClose}>
              <Icon name="close" />
            </button>
          </header>
        )}
        {children}
      </div>
    </dialog>
  )
}
