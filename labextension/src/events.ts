// The server's word that something changed, as Jupyter's event stream brings it.

import type { Event } from '@jupyterlab/services';
import type { ISignal } from '@lumino/signaling';

import type { LibraryModel } from './models/library';

/** The id of the server's schema of these events. */
export const CHANGES_SCHEMA = 'https://schema.norman-jupyter.org/changes/v1';

/** Events as Jupyter's services stream them. */
export interface IEvents {
  readonly stream: ISignal<Event.IManager, Event.Emission>;
}

/** Let the model ask the server when the server says so. */
export function listenToChanges(
  events: IEvents,
  model: Pick<LibraryModel, 'noteChange'>
): void {
  events.stream.connect((_, emission) => {
    if (emission.schema_id === CHANGES_SCHEMA) {
      model.noteChange();
    }
  });
}
