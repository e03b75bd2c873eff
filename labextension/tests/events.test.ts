import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { describe, expect, it } from 'vitest';

import { CHANGES_SCHEMA, listenToChanges } from '../src/events';

describe('listenToChanges', () => {
  it('passes on changes of ours and no other events', () => {
    const sender = {} as unknown as Event.IManager;
    const stream = new Signal<Event.IManager, Event.Emission>(sender);
    let changes = 0;
    listenToChanges({ stream }, { noteChange: () => (changes += 1) });

    stream.emit({ schema_id: CHANGES_SCHEMA, topic: 'models', revision: 1 });
    stream.emit({ schema_id: 'https://events.jupyter.org/x', a: 1 });
    expect(changes).toBe(1);
  });
});
