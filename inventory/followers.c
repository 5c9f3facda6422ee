#include "inventory/followers.h"

#include <assert.h>
#include <stddef.h>

#include "rpc/server.h"

void followers_init(struct followers *followers)
{
	pthread_mutex_init(&followers->mutex, NULL);
	followers->first = NULL;
}

void followers_release(struct followers *followers)
{
	assert(!followers->first);
	pthread_mutex_destroy(&followers->mutex);
}

void followers_join(struct followers *followers, struct follower *follower)
{
	pthread_mutex_lock(&followers->mutex);
	follower->previous = NULL;
	follower->next = followers->first;
	if (follower->next)
		follower->next->previous = follower;
	followers->first = follower;
	pthread_mutex_unlock(&followers->mutex);
}

void followers_leave(struct followers *followers, struct follower *follower)
{
	pthread_mutex_lock(&followers->mutex);
	if (follower->next)
		follower->next->previous = follower->previous;
	if (follower->previous)
		follower->previous->next = follower->next;
	else
		followers->first = follower->next;
	pthread_mutex_unlock(&followers->mutex);
}

void followers_wake(struct followers *followers)
{
	pthread_mutex_lock(&followers->mutex);
	for (struct follower *follower = followers->first; follower; follower = follower->next)
		rpc_wake(follower->call);
	pthread_mutex_unlock(&followers->mutex);
}
