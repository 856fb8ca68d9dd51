#include "auth_service.h"

int main(int argc, char **argv)
{
    return bv_service_main(&auth_spec, argc, argv);
}
